import GRPCCore
import JOSE
import SwiftProtobuf

/// What gRPC server reflection tells: the services of a server and the files that describe them. Fixed at the start, and
/// the same for everybody: nothing in it is secret.
package struct ServerReflection: Sendable {
    private struct File {
        let bytes: [UInt8]
        let imports: [String]
    }

    private let services: [String]
    private var files: [String: File] = [:]
    /// File names by the full names of what is declared in them.
    private var symbols: [String: String] = [:]

    /// Describes these services, and health and reflection beside them.
    /// - Parameter descriptorSets: each a `google.protobuf.FileDescriptorSet` in base64; a malformed one is left out.
    package init(services: [String], descriptorSets: [String]) {
        self.services = (services + Self.ownServices).sorted()
        for text in descriptorSets + [serverDescriptors] {
            guard let bytes = try? Base64.decode(text),
                let set = try? Google_Protobuf_FileDescriptorSet(serializedBytes: bytes)
            else { continue }
            for file in set.file { add(file) }
        }
    }

    private static let ownServices = [
        "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    ]

    /// The answer to one request.
    func answer(
        _ request: Grpc_Reflection_V1_ServerReflectionRequest
    ) -> Grpc_Reflection_V1_ServerReflectionResponse {
        .with {
            $0.validHost = request.host
            $0.originalRequest = request
            switch request.messageRequest {
            case .listServices:
                $0.listServicesResponse = .with { list in
                    list.service = services.map { name in .with { $0.name = name } }
                }
            case .fileByFilename(let name) where files[name] != nil:
                $0.fileDescriptorResponse = describe(name)
            case .fileContainingSymbol(let symbol) where symbols[symbol] != nil:
                $0.fileDescriptorResponse = describe(symbols[symbol] ?? "")
            case .allExtensionNumbersOfType(let type) where symbols[type] != nil:
                // proto3 has no extensions.
                $0.allExtensionNumbersResponse = .with { $0.baseTypeName = type }
            case .fileByFilename, .fileContainingSymbol, .fileContainingExtension, .allExtensionNumbersOfType:
                $0.errorResponse = .with {
                    $0.errorCode = Int32(RPCError.Code.notFound.rawValue)
                    $0.errorMessage = "not found"
                }
            case nil:
                $0.errorResponse = .with {
                    $0.errorCode = Int32(RPCError.Code.invalidArgument.rawValue)
                    $0.errorMessage = "nothing is asked for"
                }
            }
        }
    }

    /// A file with everything that it imports, itself first.
    private func describe(_ name: String) -> Grpc_Reflection_V1_FileDescriptorResponse {
        var names = [name]
        var next = 0
        while next < names.count {
            for other in files[names[next]]?.imports ?? [] where !names.contains(other) { names.append(other) }
            next += 1
        }
        return .with { $0.fileDescriptorProto = names.compactMap { files[$0].map { .init($0.bytes) } } }
    }

    private mutating func add(_ file: Google_Protobuf_FileDescriptorProto) {
        guard files[file.name] == nil, let bytes: [UInt8] = try? file.serializedBytes() else { return }
        files[file.name] = File(bytes: bytes, imports: file.dependency)
        let prefix = file.package.isEmpty ? "" : file.package + "."
        for service in file.service {
            symbols[prefix + service.name] = file.name
            for method in service.method { symbols["\(prefix)\(service.name).\(method.name)"] = file.name }
        }
        for value in file.enumType { symbols[prefix + value.name] = file.name }
        for message in file.messageType { add(message, prefix: prefix, file: file.name) }
    }

    private mutating func add(_ message: Google_Protobuf_DescriptorProto, prefix: String, file: String) {
        symbols[prefix + message.name] = file
        for value in message.enumType { symbols["\(prefix)\(message.name).\(value.name)"] = file }
        for nested in message.nestedType { add(nested, prefix: "\(prefix)\(message.name).", file: file) }
    }
}
