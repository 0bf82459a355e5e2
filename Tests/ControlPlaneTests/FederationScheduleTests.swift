import ControlPlane
import Testing

@Suite("When a federated bundle is fetched again")
struct FederationScheduleTests {
    @Test(
        "at the hint within its bounds, and up to a tenth earlier",
        arguments: [
            (nil as Int64?, 300), (0, 300), (-1, 300), (1, 5), (5, 5), (60, 60), (3600, 3600), (86400, 3600),
            (Int64.max, 3600),
        ])
    func afterSuccess(_ hint: Int64?, _ seconds: Int) {
        #expect(FederationSchedule.delay(hint: hint, spread: 0) == .seconds(seconds))
        let earliest = FederationSchedule.delay(hint: hint, spread: 1)
        #expect(earliest < .seconds(seconds))
        #expect(earliest >= .seconds(seconds) * 0.89)
    }

    @Test(
        "after failures in doubling steps, sooner while there is no bundle at all",
        arguments: [(1, 5, 5), (2, 10, 10), (3, 20, 20), (5, 80, 60), (7, 300, 60), (1000, 300, 60), (0, 5, 5)])
    func afterFailure(_ failures: Int, _ with: Int, _ without: Int) {
        #expect(FederationSchedule.delay(failures: failures, hasBundle: true, spread: 0) == .seconds(with))
        #expect(FederationSchedule.delay(failures: failures, hasBundle: false, spread: 0) == .seconds(without))
    }
}
