#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Names of users and groups from the system's account database. Every question may block: the database can be a network
/// service.
enum AccountNames {
    /// Buffers for a lookup grow from 1 KiB up to this; a group with more members than fit has no name for us.
    static let maximumBufferSize = 1 << 20

    /// The name of a user; nil when the database has none or cannot answer.
    static func user(_ uid: UInt32) -> String? {
        lookUp { buffer, size in
            var record = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let code = getpwuid_r(uid, &record, buffer, size, &found)
            return (code, found.flatMap { name($0.pointee.pw_name) })
        }
    }

    /// The name of a group; nil when the database has none or cannot answer.
    static func group(_ gid: UInt32) -> String? {
        lookUp { buffer, size in
            var record = group_record()
            var found: UnsafeMutablePointer<group_record>?
            let code = getgrgid_r(gid, &record, buffer, size, &found)
            return (code, found.flatMap { name($0.pointee.gr_name) })
        }
    }

    private static func lookUp(_ call: (UnsafeMutablePointer<CChar>, Int) -> (Int32, String?)) -> String? {
        var size = 1024
        while size <= maximumBufferSize {
            let buffer = UnsafeMutablePointer<CChar>.allocate(capacity: size)
            defer { buffer.deallocate() }
            let (code, name) = call(buffer, size)
            switch code {
            case ERANGE: size *= 4
            case EINTR: continue
            default: return name
            }
        }
        return nil
    }

    private static func name(_ text: UnsafeMutablePointer<CChar>?) -> String? {
        guard let text else { return nil }
        let name = String(cString: text)
        // A selector holds at most this; longer names than any system allows are treated as no name.
        guard !name.isEmpty, name.utf8.count <= 256 else { return nil }
        return name
    }
}

// `group` alone would name the function above.
private typealias group_record = group
