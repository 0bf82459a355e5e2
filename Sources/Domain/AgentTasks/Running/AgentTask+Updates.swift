package import A2A
import JOSE

extension AgentTask {
    /// Takes on a new status; returns the message of the former one, which goes into the history.
    mutating func take(_ update: TaskStatusUpdate) -> Message? {
        let superseded = status.message
        if let superseded { history.append(superseded) }
        status = update.status
        for (name, value) in update.metadata.members { metadata[name] = value }
        return superseded
    }

    /// Takes on an artifact, or a chunk of the one at that place.
    package mutating func take(_ update: TaskArtifactUpdate, at place: Int?) {
        guard let place else {
            artifacts.append(update.artifact)
            return
        }
        guard update.append else {
            artifacts[place] = update.artifact
            return
        }
        artifacts[place].extend(by: update.artifact)
    }
}

extension Artifact {
    /// Adds the parts of a chunk; what it says of the whole replaces what was said.
    package mutating func extend(by chunk: Artifact) {
        parts += chunk.parts
        if let name = chunk.name { self.name = name }
        if let description = chunk.description { self.description = description }
        for (name, value) in chunk.metadata.members { metadata[name] = value }
        for uri in chunk.extensions where !extensions.contains(uri) { extensions.append(uri) }
    }
}
