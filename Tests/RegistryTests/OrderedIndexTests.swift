import SPIFFE
import Testing

@testable import Registry

@Suite struct OrderedIndexTests {
    private func position(_ number: Int) -> ListPosition {
        ListPosition(createdAt: UnixTime(milliseconds: Int64(number / 7)), key: String(1000 + number % 7))
    }

    @Test("it is the sorted list of what was put in and not removed, whatever the order")
    func model() {
        var generator = SplitMix(state: 7)
        var index = OrderedIndex<Int>()
        var model: [Int: Int] = [:]
        for step in 0..<6000 {
            let number = Int.random(in: 0..<2000, using: &generator)
            if Int.random(in: 0..<3, using: &generator) > 0 {
                index.put(step, at: position(number))
                model[number] = step
            } else {
                index.remove(at: position(number))
                model[number] = nil
            }
        }
        let sorted = model.keys.sorted { position($0) < position($1) }
        #expect(index.count == model.count)
        #expect(index.items == sorted.map { model[$0] })
        for start in [0, 3, 777, 1500, 1999] {
            var after: [Int] = []
            index.forEach(after: position(start)) { element in
                after.append(element.item)
                return true
            }
            #expect(after == sorted.filter { position($0) > position(start) }.map { model[$0] })
        }
    }

    @Test("a copy does not see later changes")
    func copies() {
        var index = OrderedIndex<Int>()
        for number in 0..<500 { index.put(number, at: position(number)) }
        let copy = index
        for number in 0..<500 { index.remove(at: position(number)) }
        #expect(index.isEmpty)
        #expect(copy.items.count == 500)
    }

    @Test("a page token survives the item it names")
    func pages() {
        var index = OrderedIndex<Int>()
        for number in 0..<10 { index.put(number, at: position(number)) }
        let first = index.page(after: nil, count: 4, where: { _ in true }, transform: { $0 })
        #expect(first.items == [0, 1, 2, 3])
        for number in 2...5 { index.remove(at: position(number)) }
        let second = index.page(
            after: ListPosition(token: first.nextToken), count: 4, where: { _ in true }, transform: { $0 })
        #expect(second.items == [6, 7, 8, 9])
        #expect(second.nextToken.isEmpty)
    }

    @Test("texts that are no page tokens are refused", arguments: ["", "x", "1", "1.", ".a", "01.a", "+1.a", "1 .a"])
    func tokens(text: String) {
        #expect(ListPosition(token: text) == nil)
    }

    @Test("indexes by a key come and go with their items, and a copy does not see later changes")
    func sharedIndexes() {
        var indexes = SharedIndexes<String, Int>()
        func position(_ number: Int) -> ListPosition {
            ListPosition(createdAt: UnixTime(milliseconds: Int64(number)), key: "")
        }
        for number in 0..<3000 { indexes.put(number, at: position(number), under: String(number % 1000)) }
        let copy = indexes
        for number in 0..<3000 where number % 1000 < 500 {
            indexes.remove(at: position(number), under: String(number % 1000))
        }
        indexes.put(-1, at: position(9999), under: "999")
        indexes.remove(at: position(0), under: "nobody")
        #expect(copy.count == 1000)
        #expect(copy["0"]?.items == [0, 1000, 2000])
        #expect(copy["999"]?.items == [999, 1999, 2999])
        #expect(indexes.count == 500)
        #expect(indexes["0"] == nil)
        #expect(indexes["999"]?.items == [999, 1999, 2999, -1])
    }
}

/// Repeatable random numbers for models.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
