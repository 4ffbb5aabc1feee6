/// An exception by its vector.
///
/// Source: SDM volume 3, "Exceptions and Interrupts", table "Protected-Mode Exceptions and Interrupts".
enum Exception: UInt8 {
  case divideError = 0
  case debug = 1
  case breakpoint = 3
  case overflow = 4
  case boundRangeExceeded = 5
  case invalidOpcode = 6
  case deviceNotAvailable = 7
  case doubleFault = 8
  case invalidTSS = 10
  case segmentNotPresent = 11
  case stackFault = 12
  case generalProtection = 13
  case pageFault = 14
  case alignmentCheck = 17

  var hasErrorCode: Bool {
    switch self {
    case .doubleFault, .invalidTSS, .segmentNotPresent, .stackFault, .generalProtection, .pageFault,
      .alignmentCheck:
      true
    default: false
    }
  }
}
