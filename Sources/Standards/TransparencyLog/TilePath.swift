/// The `<N>[.p/<W>]` part that the paths of tiles and of entry bundles share.
enum TilePath {
    /// Leaves are counted in `Int64`, and a tile of level 0 spans 256 of them.
    static let maximumIndex = Int64.max >> 8

    /// Longer than any path of an index in range.
    static let maximumBytes = 64

    private static let slash = UInt8(ascii: "/")
    private static let partialMark = Array(".p".utf8)

    /// Three digits a path element, all but the last after an `x`.
    static func format(index: Int64, width: Int) -> String {
        var path = threeDigits(index % 1000)
        var rest = index / 1000
        while rest > 0 {
            path = "x\(threeDigits(rest % 1000))/\(path)"
            rest /= 1000
        }
        return width == TileCoordinate.fullWidth ? path : "\(path).p/\(width)"
    }

    /// Reads index and width; refuses leading groups of zero, signs, and a spelled-out full width.
    static func parse(_ path: [UInt8]) throws(TileError) -> (index: Int64, width: Int) {
        var elements = path.split(separator: slash, omittingEmptySubsequences: false)
        var width = TileCoordinate.fullWidth
        if elements.count >= 2, elements[elements.count - 2].suffix(2).elementsEqual(partialMark) {
            guard let number = Decimal.parse(elements.removeLast()) else { throw .malformedPath }
            guard (1..<Int64(TileCoordinate.fullWidth)).contains(number) else { throw .widthOutOfRange }
            width = Int(number)
            elements[elements.count - 1].removeLast(partialMark.count)
        }
        return (try index(elements), width)
    }

    private static func index(_ elements: [ArraySlice<UInt8>]) throws(TileError) -> Int64 {
        var index: Int64 = 0
        for (position, element) in elements.enumerated() {
            var digits = element
            if position < elements.count - 1 {
                guard digits.popFirst() == UInt8(ascii: "x") else { throw .malformedPath }
            }
            guard digits.count == 3 else { throw .malformedPath }
            for character in digits {
                guard let digit = Decimal.digit(character) else { throw .malformedPath }
                // Divides instead of multiplying, so that the bound is checked before anything can overflow.
                guard index <= (maximumIndex - digit) / 10 else { throw .indexOutOfRange }
                index = index * 10 + digit
            }
            guard index > 0 || elements.count == 1 else { throw .malformedPath }
        }
        return index
    }

    private static func threeDigits(_ number: Int64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 3 - digits.utf8.count) + digits
    }
}
