package import A2A

/// What an operation knows about the request beside its message.
package struct A2ACall: Sendable {
    package let caller: A2ACaller
    package let parameters: ServiceParameters

    package init(caller: A2ACaller, parameters: ServiceParameters = ServiceParameters()) {
        self.caller = caller
        self.parameters = parameters
    }
}
