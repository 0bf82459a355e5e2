/// Words of a text, as the index knows them: runs of letters and digits in lower case.
enum SearchText {
    static let maximumWordLength = 64
    /// Most different words of one card.
    static let maximumWords = 1024

    static func words(_ text: String) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        func end() {
            if !word.isEmpty { words.append(String(decoding: word, as: UTF8.self)) }
            word.removeAll(keepingCapacity: true)
        }
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x30...0x39, 0x61...0x7a: word.append(UInt8(truncatingIfNeeded: scalar.value))
            case 0x41...0x5a: word.append(UInt8(truncatingIfNeeded: scalar.value) | 0x20)
            case 0x80...:
                guard scalar.properties.isAlphabetic || scalar.properties.numericType != nil else {
                    end()
                    continue
                }
                word.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
            default: end()
            }
            // A word that is too long is two, and both are found.
            if word.count >= maximumWordLength { end() }
        }
        end()
        return words
    }
}
