package import A2A
import SwiftProtobuf

extension AgentCard: WireMessage {
    package init(_ wire: Lf_A2a_V1_AgentCard) throws(FieldViolation) {
        self.init(
            name: wire.name, description: wire.description_p, version: wire.version,
            supportedInterfaces: wire.supportedInterfaces.map(AgentInterface.init),
            provider: wire.hasProvider
                ? AgentProvider(url: wire.provider.url, organization: wire.provider.organization) : nil,
            documentationURL: wire.hasDocumentationURL ? wire.documentationURL : nil,
            capabilities: try FieldViolation.at("capabilities") { () throws(FieldViolation) in
                try AgentCapabilities(wire.capabilities)
            },
            securitySchemes: ProtoMap(wire.securitySchemes, SecurityScheme.init),
            securityRequirements: wire.securityRequirements.map(SecurityRequirement.init),
            defaultInputModes: wire.defaultInputModes, defaultOutputModes: wire.defaultOutputModes,
            skills: wire.skills.map(AgentSkill.init),
            signatures: try FieldViolation.each("signatures", wire.signatures, AgentCardSignature.init),
            iconURL: wire.hasIconURL ? wire.iconURL : nil)
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_AgentCard {
        var wire = Lf_A2a_V1_AgentCard()
        wire.name = name
        wire.description_p = description
        wire.supportedInterfaces = supportedInterfaces.map { $0.wire() }
        if let provider {
            wire.provider.url = provider.url
            wire.provider.organization = provider.organization
        }
        wire.version = version
        if let documentationURL { wire.documentationURL = documentationURL }
        wire.capabilities = try FieldViolation.at("capabilities", capabilities.wire)
        wire.securitySchemes = try FieldViolation.at("securitySchemes") { () throws(FieldViolation) in
            try securitySchemes.dictionary { scheme throws(FieldViolation) in try scheme.wire() }
        }
        wire.securityRequirements = try FieldViolation.each("securityRequirements", securityRequirements) {
            requirement throws(FieldViolation) in try requirement.wire()
        }
        wire.defaultInputModes = defaultInputModes
        wire.defaultOutputModes = defaultOutputModes
        wire.skills = try FieldViolation.each("skills", skills) { skill throws(FieldViolation) in try skill.wire() }
        wire.signatures = try FieldViolation.each("signatures", signatures) { signature throws(FieldViolation) in
            try signature.wire()
        }
        if let iconURL { wire.iconURL = iconURL }
        return wire
    }
}

extension AgentInterface: WireMessage {
    package init(_ wire: Lf_A2a_V1_AgentInterface) {
        self.init(
            url: wire.url, protocolBinding: ProtocolBinding(rawValue: wire.protocolBinding),
            tenant: wire.tenant.unlessEmpty, protocolVersion: wire.protocolVersion)
    }

    package func wire() -> Lf_A2a_V1_AgentInterface {
        var wire = Lf_A2a_V1_AgentInterface()
        wire.url = url
        wire.protocolBinding = protocolBinding.rawValue
        wire.tenant = tenant ?? ""
        wire.protocolVersion = protocolVersion
        return wire
    }
}

extension AgentCapabilities: WireMessage {
    package init(_ wire: Lf_A2a_V1_AgentCapabilities) throws(FieldViolation) {
        self.init(
            streaming: wire.hasStreaming ? wire.streaming : nil,
            pushNotifications: wire.hasPushNotifications ? wire.pushNotifications : nil,
            extensions: try FieldViolation.each("extensions", wire.extensions, AgentExtension.init),
            extendedAgentCard: wire.hasExtendedAgentCard ? wire.extendedAgentCard : nil)
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_AgentCapabilities {
        var wire = Lf_A2a_V1_AgentCapabilities()
        if let streaming { wire.streaming = streaming }
        if let pushNotifications { wire.pushNotifications = pushNotifications }
        wire.extensions = try FieldViolation.each("extensions", extensions) { known throws(FieldViolation) in
            try known.wire()
        }
        if let extendedAgentCard { wire.extendedAgentCard = extendedAgentCard }
        return wire
    }
}

extension AgentExtension: WireMessage {
    package init(_ wire: Lf_A2a_V1_AgentExtension) throws(FieldViolation) {
        self.init(
            uri: wire.uri, description: wire.description_p.unlessEmpty, required: wire.required,
            params: wire.hasParams ? try FieldViolation.at("params", wire.params.json) : nil)
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_AgentExtension {
        var wire = Lf_A2a_V1_AgentExtension()
        wire.uri = uri
        wire.description_p = description ?? ""
        wire.required = required
        if let params {
            wire.params = try FieldViolation.at("params") { () throws(FieldViolation) in
                try Google_Protobuf_Struct(params)
            }
        }
        return wire
    }
}

extension AgentSkill: WireMessage {
    package init(_ wire: Lf_A2a_V1_AgentSkill) {
        self.init(
            id: wire.id, name: wire.name, description: wire.description_p, tags: wire.tags, examples: wire.examples,
            inputModes: wire.inputModes, outputModes: wire.outputModes,
            securityRequirements: wire.securityRequirements.map(SecurityRequirement.init))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_AgentSkill {
        var wire = Lf_A2a_V1_AgentSkill()
        wire.id = id
        wire.name = name
        wire.description_p = description
        wire.tags = tags
        wire.examples = examples
        wire.inputModes = inputModes
        wire.outputModes = outputModes
        wire.securityRequirements = try FieldViolation.each("securityRequirements", securityRequirements) {
            requirement throws(FieldViolation) in try requirement.wire()
        }
        return wire
    }
}

extension AgentCardSignature: WireMessage {
    package init(_ wire: Lf_A2a_V1_AgentCardSignature) throws(FieldViolation) {
        self.init(
            protected: wire.protected, signature: wire.signature,
            header: wire.hasHeader ? try FieldViolation.at("header", wire.header.json) : nil)
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_AgentCardSignature {
        var wire = Lf_A2a_V1_AgentCardSignature()
        wire.protected = protected
        wire.signature = signature
        if let header {
            wire.header = try FieldViolation.at("header") { () throws(FieldViolation) in
                try Google_Protobuf_Struct(header)
            }
        }
        return wire
    }
}
