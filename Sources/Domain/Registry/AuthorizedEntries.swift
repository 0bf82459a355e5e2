/// The entries that a node may serve, in no particular order: a list of references into a snapshot, so that even ten
/// thousand cost little to gather, and an entry is copied only when it is looked at.
package struct AuthorizedEntries: RandomAccessCollection, Sendable {
    private var boxes: [EntrySnapshot.Box] = []
    /// The same as long as the same entries are in it, each in the same revision; another after a change. For comparison
    /// within this process.
    package private(set) var mark = 0

    package var startIndex: Int { boxes.startIndex }
    package var endIndex: Int { boxes.endIndex }

    package subscript(position: Int) -> RegistrationEntry { boxes[position].entry }

    mutating func append(_ box: EntrySnapshot.Box) {
        boxes.append(box)
        // A sum, because there is no order.
        mark &+= box.mark
    }
    mutating func reserveCapacity(_ capacity: Int) { boxes.reserveCapacity(capacity) }
}
