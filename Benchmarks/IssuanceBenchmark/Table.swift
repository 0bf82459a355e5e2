/// The figures as a table for a terminal and for `docs/benchmarks.md`.
enum Table {
    static func text(_ results: [Measurement], openSSL: OpenSSLSpeed?) -> String {
        var lines = ["| operation | CPU ms each | per CPU second | wall per second | CPU / (openssl sign + verify) |"]
        lines.append("|---|---|---|---|---|")
        for result in results {
            let raw = openSSL.map { 1000 / $0.signs + 1000 / $0.verifies }
            lines.append(
                "| \(result.name) | \(fixed(result.millisecondsEach, 4)) | \(Int(1000 / result.millisecondsEach)) "
                    + "| \(Int(Double(result.count) / result.wall)) "
                    + "| \(raw.map { fixed(result.millisecondsEach / $0, 2) } ?? "not measured") |")
        }
        if let openSSL {
            lines.append("")
            lines.append(
                "openssl speed ecdsap256 in the same run: \(Int(openSSL.signs)) signs/s (\(fixed(1000 / openSSL.signs, 4)) ms), "
                    + "\(Int(openSSL.verifies)) verifies/s (\(fixed(1000 / openSSL.verifies, 4)) ms)")
        }
        return lines.joined(separator: "\n")
    }

    private static func fixed(_ value: Double, _ places: Int) -> String {
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int((value * Double(scale)).rounded())
        let fraction = String(scaled % scale)
        return "\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
    }
}
