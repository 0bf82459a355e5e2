package import GRPCCore
import SwiftProtobuf

/// gRPC server reflection, `grpc.reflection.v1`.
package struct ReflectionService: Grpc_Reflection_V1_ServerReflection.SimpleServiceProtocol {
    private let reflection: ServerReflection

    package init(_ reflection: ServerReflection) {
        self.reflection = reflection
    }

    package func serverReflectionInfo(
        request: RPCAsyncSequence<Grpc_Reflection_V1_ServerReflectionRequest, any Error>,
        response: RPCWriter<Grpc_Reflection_V1_ServerReflectionResponse>, context: ServerContext
    ) async throws {
        let reflection = reflection
        try await context.untilCancelled {
            for try await message in request { try await response.write(reflection.answer(message)) }
        }
    }
}

/// The same under its former name, `grpc.reflection.v1alpha`, which many tools still ask for first.
package struct ReflectionAlphaService: Grpc_Reflection_V1alpha_ServerReflection.SimpleServiceProtocol {
    private let reflection: ServerReflection

    package init(_ reflection: ServerReflection) {
        self.reflection = reflection
    }

    package func serverReflectionInfo(
        request: RPCAsyncSequence<Grpc_Reflection_V1alpha_ServerReflectionRequest, any Error>,
        response: RPCWriter<Grpc_Reflection_V1alpha_ServerReflectionResponse>, context: ServerContext
    ) async throws {
        let reflection = reflection
        try await context.untilCancelled {
            for try await message in request {
                // Both have the same messages on the wire.
                let bytes: [UInt8] = try message.serializedBytes()
                let answer = reflection.answer(try Grpc_Reflection_V1_ServerReflectionRequest(serializedBytes: bytes))
                let answered: [UInt8] = try answer.serializedBytes()
                try await response.write(
                    try Grpc_Reflection_V1alpha_ServerReflectionResponse(serializedBytes: answered))
            }
        }
    }
}
