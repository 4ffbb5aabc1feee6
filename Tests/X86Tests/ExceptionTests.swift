import Testing
import X86

@Suite struct ExceptionTests {
  /// SDM volume 3, table "Protected-Mode Exceptions and Interrupts".
  @Test func errorCodesArePushedForTheseVectors() {
    #expect(
      ExceptionVector.allCases.filter(\.hasErrorCode).map(\.rawValue) == [8, 10, 11, 12, 13, 14, 17, 21])
    #expect(ExceptionVector(rawValue: 15) == nil && ExceptionVector(rawValue: 13) == .generalProtection)
    #expect(Set(ExceptionVector.allCases.map(\.mnemonic.description)).count == ExceptionVector.allCases.count)
    #expect(ExceptionVector.allCases.filter { $0.kind == .trap }.map(\.rawValue) == [1, 3, 4])
    #expect(ExceptionVector.allCases.filter { $0.kind == .abort }.map(\.rawValue) == [8, 18])
  }

  /// SDM volume 3, table "Conditions for Generating a Double Fault".
  @Test func twoExceptionsBecomeASerialOneADoubleFaultOrAShutdown() {
    func combination(_ first: ExceptionVector, _ second: ExceptionVector) -> ExceptionCombination {
      first.exceptionClass.combined(with: second.exceptionClass)
    }
    #expect(combination(.debug, .pageFault) == .serial)
    #expect(combination(.invalidOpcode, .generalProtection) == .serial)
    #expect(combination(.divideError, .generalProtection) == .doubleFault)
    #expect(combination(.generalProtection, .segmentNotPresent) == .doubleFault)
    #expect(combination(.generalProtection, .pageFault) == .serial)
    #expect(combination(.pageFault, .pageFault) == .doubleFault)
    #expect(combination(.pageFault, .invalidTSS) == .doubleFault)
    #expect(combination(.pageFault, .debug) == .serial)
    #expect(combination(.doubleFault, .pageFault) == .tripleFault)
    #expect(combination(.doubleFault, .stackSegmentFault) == .tripleFault)
    #expect(combination(.doubleFault, .debug) == .serial)
  }

  @Test func pageFaultErrorCodeBits() {
    let code: PageFaultErrorCode = [.present, .write, .user, .fetch]
    #expect(code.rawValue == 0x17)
  }
}
