import GRPCCore
import PeerRPC
import Synchronization

/// Bytes as they are, in place of protobuf.
struct BytesCoder: MessageSerializer, MessageDeserializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes { Bytes(message) }
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
        bytes.withUnsafeBytes { Array($0) }
    }
}

struct WeakHandle: Sendable {
    weak let handle: ProcessHandle?
}

/// Answers with what it knows about its caller.
final class PeerService: RegistrableRPCService {
    static let whoAmI = MethodDescriptor(fullyQualifiedService: "test.Peer", method: "WhoAmI", type: .unary)
    static let metadata = MethodDescriptor(fullyQualifiedService: "test.Peer", method: "Metadata", type: .unary)
    static let wait = MethodDescriptor(fullyQualifiedService: "test.Peer", method: "Wait", type: .serverStreaming)

    static let echo = MethodDescriptor(
        fullyQualifiedService: "test.Peer", method: "Echo", type: .bidirectionalStreaming)
    static let giveUp = MethodDescriptor(
        fullyQualifiedService: "test.Peer", method: "GiveUp", type: .bidirectionalStreaming)
    static let refuse = MethodDescriptor(
        fullyQualifiedService: "test.Peer", method: "Refuse", type: .bidirectionalStreaming)

    /// What the last caller was.
    let lastPeer = Mutex<ConnectionPeer?>(nil)
    /// The processes of all callers, not kept alive.
    let handles = Mutex<[WeakHandle]>([])
    /// Streams that began and ended.
    let begun = Mutex(0)
    let ended = Mutex(0)

    func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
        router.registerHandler(
            forMethod: Self.whoAmI, deserializer: BytesCoder(), serializer: BytesCoder()
        ) { [self] request, context in
            var length = 0
            for try await message in request.messages { length += message.count }
            let peer = context.connectionPeer
            lastPeer.withLock { $0 = peer }
            if let handle = peer?.process?.handle { handles.withLock { $0.append(WeakHandle(handle: handle)) } }
            let answer = "\(Self.text(peer)) length=\(length)"
            return StreamingServerResponse { writer in
                try await writer.write(Array(answer.utf8))
                return [:]
            }
        }
        router.registerHandler(
            forMethod: Self.metadata, deserializer: BytesCoder(), serializer: BytesCoder()
        ) { request, _ in
            let text = request.metadata.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: "\n")
            return StreamingServerResponse { writer in
                try await writer.write(Array(text.utf8))
                return [:]
            }
        }
        router.registerHandler(
            forMethod: Self.echo, deserializer: BytesCoder(), serializer: BytesCoder()
        ) { request, _ in
            StreamingServerResponse { writer in
                for try await message in request.messages { try await writer.write(message) }
                return [:]
            }
        }
        router.registerHandler(
            forMethod: Self.giveUp, deserializer: BytesCoder(), serializer: BytesCoder()
        ) { request, _ in
            StreamingServerResponse { writer in
                try await writer.write([])
                // One task reads until it is cancelled, the other decides.
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { for try await _ in request.messages {} }
                    group.addTask { throw RPCError(code: .aborted, message: "enough") }
                    defer { group.cancelAll() }
                    try await group.next()
                }
                return [:]
            }
        }
        router.registerHandler(
            forMethod: Self.refuse, deserializer: BytesCoder(), serializer: BytesCoder()
        ) { request, _ in
            for try await _ in request.messages { break }
            throw RPCError(code: .failedPrecondition, message: "100 % not: ü")
        }
        router.registerHandler(
            forMethod: Self.wait, deserializer: BytesCoder(), serializer: BytesCoder()
        ) { [self] _, context in
            StreamingServerResponse { writer in
                self.begun.withLock { $0 += 1 }
                defer { self.ended.withLock { $0 += 1 } }
                try await writer.write(Array(Self.text(context.connectionPeer).utf8))
                try await context.untilCancelled { try await Task.sleep(for: .seconds(600)) }
                return [:]
            }
        }
    }

    static func text(_ peer: ConnectionPeer?) -> String {
        switch peer?.identity {
        case .process(let process): "process \(process.pid) \(process.uid) \(process.gid) \(process.handle != nil)"
        case .certificate(let chain): "certificate \(chain.count)"
        case .anonymous: "anonymous"
        case nil: "nobody"
        }
    }
}
