import SPIFFE
import Testing

@Suite struct `DER elements` {
    @Test(
        arguments: [
            ([], DERError.truncated), ([0x30], .truncated), ([0x30, 0x01], .truncated), ([0x30, 0x80], .badLength),
            ([0x30, 0x81], .truncated), ([0x30, 0x81, 0x7f], .badLength), ([0x30, 0x82, 0x00, 0x80], .badLength),
            ([0x30, 0x84, 0, 0, 0, 1], .badLength), ([0x30, 0xff], .badLength), ([0x1f, 0x1f, 0x00], .unsupportedTag),
            ([0x30, 0x83, 0xff, 0xff, 0xff], .truncated), ([0x30, 0x81, 0x80], .truncated),
        ] as [([UInt8], DERError)])
    func `malformed elements are refused`(_ bytes: [UInt8], _ error: DERError) {
        #expect(throws: error) {
            var reader = DERReader(bytes)
            _ = try reader.element()
        }
    }

    @Test(arguments: [0, 1, 127, 128, 255, 256, 65_535, 65_536])
    func `lengths are written in their shortest form and read back`(_ count: Int) throws {
        let content = [UInt8](repeating: 7, count: count)
        let written = der { $0.element(0x30) { $0.raw(content) } }
        #expect(written == der { $0.primitive(0x30, content) })
        var reader = DERReader(written)
        let element = try reader.element(0x30)
        try reader.finish()
        #expect(element.content.elementsEqual(content))
        #expect(element.encoded.elementsEqual(written))
    }

    @Test func `nesting stops at the limit`() throws {
        var bytes: [UInt8] = []
        for _ in 0..<20 { bytes = der { $0.primitive(0x30, bytes) } }
        var reader = DERReader(bytes)
        for _ in 0..<DERReader.maximumDepth { reader = try reader.open(0x30) }
        #expect(throws: DERError.tooDeep) { _ = try reader.open(0x30) }
    }

    @Test func `an element cannot reach out of its container`() throws {
        var reader = DERReader([0x30, 0x02, 0x04, 0x05, 1, 2, 3, 4, 5])
        var inner = try reader.open(0x30)
        #expect(throws: DERError.truncated) { _ = try inner.element() }
    }

    @Test(
        arguments: [
            ([0x02, 0x00], nil), ([0x02, 0x01, 0x00], 0), ([0x02, 0x01, 0x7f], 127), ([0x02, 0x01, 0x80], nil),
            ([0x02, 0x02, 0x00, 0x80], 128), ([0x02, 0x02, 0x00, 0x7f], nil), ([0x02, 0x02, 0xff, 0x80], nil),
            ([0x02, 0x04, 0x7f, 0xff, 0xff, 0xff], 2_147_483_647), ([0x02, 0x05, 0x01, 0, 0, 0, 0], nil),
            ([0x03, 0x01, 0x00], nil),
        ] as [([UInt8], Int?)])
    func `small integers are minimal and not negative`(_ bytes: [UInt8], _ value: Int?) {
        var reader = DERReader(bytes)
        #expect((try? reader.smallInteger()) == value)
    }

    @Test(
        arguments: [
            ([0x01, 0x01, 0x00], false), ([0x01, 0x01, 0xff], true), ([0x01, 0x01, 0x01], nil), ([0x01, 0x00], nil),
            ([0x01, 0x02, 0xff, 0xff], nil),
        ] as [([UInt8], Bool?)])
    func `booleans have two spellings`(_ bytes: [UInt8], _ value: Bool?) {
        var reader = DERReader(bytes)
        #expect((try? reader.boolean()) == value)
    }

    @Test(
        arguments: [
            ([0x03, 0x02, 0x07, 0x80], 0x8000), ([0x03, 0x02, 0x01, 0x06], 0x0600),
            ([0x03, 0x03, 0x07, 0x06, 0x80], 0x0680),
            ([0x03, 0x01, 0x00], 0), ([0x03, 0x02, 0x00, 0x80], nil), ([0x03, 0x02, 0x06, 0x80], nil),
            ([0x03, 0x01, 0x01], nil), ([0x03, 0x00], nil), ([0x03, 0x02, 0x08, 0x80], nil),
            ([0x03, 0x02, 0x00, 0x00], nil),
            ([0x03, 0x04, 0x00, 1, 1, 1], nil), ([0x03, 0x02, 0x07, 0x00], nil),
        ] as [([UInt8], UInt16?)])
    func `bit lists have no zeros at their end`(_ bytes: [UInt8], _ value: UInt16?) {
        var reader = DERReader(bytes)
        #expect((try? reader.namedBits()) == value)
    }

    @Test(
        arguments: [
            ([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], "1.2.840.10045.4.3.2"),
            ([0x55, 0x1d, 0x11], "2.5.29.17"),
            ([0x88, 0x37], "2.999"), ([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "?"),
            ([], nil), ([0x80, 0x01], nil), ([0x2a, 0x80, 0x01], nil), ([0x2a, 0x86], nil),
            ([UInt8](repeating: 1, count: 65), nil),
        ] as [([UInt8], String?)])
    func `object identifiers are checked and shown`(_ content: [UInt8], _ dotted: String?) {
        #expect((try? ObjectIdentifierBytes(content: content))?.description == dotted)
    }

    @Test func `unsigned integers get their sign byte`() {
        #expect(der { $0.unsignedInteger([0, 0, 0x7f]) } == [2, 1, 0x7f])
        #expect(der { $0.unsignedInteger([0x80]) } == [2, 2, 0, 0x80])
        #expect(der { $0.unsignedInteger([0, 0]) } == [2, 1, 0])
    }
}
