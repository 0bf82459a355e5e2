import ArgumentParser

extension NameSpecification {
    /// A flag spelled as SPIRE spells it, with one dash or two.
    static func flag(_ name: String) -> NameSpecification {
        [.customLong(name), .customLong(name, withSingleDash: true)]
    }
}
