/// One 8259A: eight inputs, their priorities, and its place in a cascade.
///
/// An edge stays requested after its line falls, as if the device held the line until the acknowledge.
/// Source: Intel, 8259A data sheet.
final class InterruptControllerChip {
  /// Where the initialization sequence is.
  private enum Initialization {
    case done
    case expectsVector
    case expectsCascade
    case expectsMode
  }

  /// The inputs that another chip is cascaded to; 0 in a slave. They follow their line whatever the trigger mode is, so
  /// that no request of the other chip is lost or outlives it.
  private let cascade: UInt8
  /// Called when the INT output may have changed.
  var outputChanged: () -> Void = {}
  /// Takes part in an acknowledge of a cascaded input.
  var acknowledgeSlave: () -> UInt8 = { 0 }
  /// What the slave would give to an acknowledge.
  var pendingVectorOfSlave: () -> UInt8 = { 0 }

  private var initialization = Initialization.done
  private var hasModeWord = false
  private var isSingle = false
  private var vectorBase: UInt8
  private var lines: UInt8 = 0
  private(set) var requested: UInt8 = 0
  private(set) var inService: UInt8 = 0
  private(set) var mask: UInt8 = 0xFF
  /// The input of lowest priority.
  private var lowest: UInt8 = 7
  private var isLevelTriggered = false
  private var isAutomatic = false
  private var rotatesAutomatically = false
  private var isSpecialFullyNested = false
  private var isSpecialMask = false
  private var readsInService = false
  private var isPolled = false
  /// The inputs that the edge/level control register makes level-triggered.
  var edgeLevelControl: UInt8 = 0 {
    didSet { sampleLevels() }
  }

  init(vectorBase: UInt8, cascade: UInt8) {
    self.vectorBase = vectorBase
    self.cascade = cascade
  }

  private var levelInputs: UInt8 { (isLevelTriggered ? 0xFF : edgeLevelControl) | cascade }

  func setLine(_ number: UInt8, isHigh: Bool) {
    let bit: UInt8 = 1 << (number & 7)
    let rises = isHigh && lines & bit == 0
    lines = isHigh ? lines | bit : lines & ~bit
    if levelInputs & bit != 0 {
      requested = requested & ~bit | lines & bit
    } else if rises {
      requested |= bit
    }
    outputChanged()
  }

  private func sampleLevels() {
    requested = requested & ~levelInputs | lines & levelInputs
    outputChanged()
  }
}

// MARK: Priority

extension InterruptControllerChip {
  /// The input that INT is asserted for, or nil.
  var pending: UInt8? {
    guard let input = highest(of: requested & ~mask) else { return nil }
    var blocking = inService
    if isSpecialMask { blocking &= ~mask }
    if isSpecialFullyNested { blocking &= ~cascade }
    guard let serviced = highest(of: blocking) else { return input }
    return rank(input) < rank(serviced) ? input : nil
  }

  /// 0 for the input of highest priority, 7 for that of lowest.
  private func rank(_ input: UInt8) -> UInt8 { (input &- lowest &- 1) & 7 }

  private func highest(of inputs: UInt8) -> UInt8? {
    for offset in UInt8(1)...8 {
      let input = (lowest &+ offset) & 7
      if inputs & 1 << input != 0 { return input }
    }
    return nil
  }

  /// What ``acknowledge()`` would return.
  var pendingVector: UInt8 {
    guard let input = pending else { return vectorBase | 7 }
    return cascade & 1 << input != 0 ? pendingVectorOfSlave() : vectorBase | input
  }

  /// The two INTA cycles: the vector, or input 7's if the request is gone, which is then not in service.
  func acknowledge() -> UInt8 {
    guard let input = pending else { return vectorBase | 7 }
    service(input)
    let vector = cascade & 1 << input != 0 ? acknowledgeSlave() : vectorBase | input
    outputChanged()
    return vector
  }

  private func service(_ input: UInt8) {
    let bit: UInt8 = 1 << input
    if levelInputs & bit == 0 { requested &= ~bit }
    if isAutomatic {
      if rotatesAutomatically { lowest = input }
    } else {
      inService |= bit
    }
  }
}

// MARK: Registers

extension InterruptControllerChip {
  /// Reads the port with A0 = `isOdd`.
  func read(isOdd: Bool) -> UInt8 {
    if isPolled { return poll() }
    return isOdd ? mask : readsInService ? inService : requested
  }

  /// The poll command's answer: the input, which is then in service, below bit 7; or no bit 7.
  private func poll() -> UInt8 {
    isPolled = false
    guard let input = pending else { return 0 }
    service(input)
    outputChanged()
    return 0x80 | input
  }

  /// Writes the port with A0 = `isOdd`.
  func write(_ value: UInt8, isOdd: Bool) {
    if isOdd {
      writeData(value)
    } else if value & 0x10 != 0 {
      beginInitialization(value)
    } else if value & 0x08 != 0 {
      operationCommand3(value)
    } else {
      operationCommand2(value)
    }
    outputChanged()
  }

  /// ICW1.
  private func beginInitialization(_ value: UInt8) {
    hasModeWord = value & 1 != 0
    isSingle = value & 2 != 0
    isLevelTriggered = value & 8 != 0
    initialization = .expectsVector
    requested = lines & levelInputs
    inService = 0
    mask = 0
    lowest = 7
    isSpecialMask = false
    readsInService = false
    isPolled = false
    isAutomatic = false
    rotatesAutomatically = false
    isSpecialFullyNested = false
  }

  private func writeData(_ value: UInt8) {
    switch initialization {
    case .done: mask = value
    case .expectsVector:
      vectorBase = value & 0xF8
      initialization = isSingle ? (hasModeWord ? .expectsMode : .done) : .expectsCascade
    // Which inputs are cascaded is how the board is wired.
    case .expectsCascade: initialization = hasModeWord ? .expectsMode : .done
    case .expectsMode:
      isAutomatic = value & 2 != 0
      isSpecialFullyNested = value & 0x10 != 0
      initialization = .done
    }
  }

  /// OCW2: EOI and rotation.
  private func operationCommand2(_ value: UInt8) {
    let isRotation = value & 0x80 != 0
    let isSpecific = value & 0x40 != 0
    let isEOI = value & 0x20 != 0
    let input = value & 7
    switch (isEOI, isSpecific) {
    case (true, true):
      inService &= ~(1 << input)
      if isRotation { lowest = input }
    case (true, false):
      // In special mask mode a masked input stays in service.
      guard let served = highest(of: isSpecialMask ? inService & ~mask : inService) else { return }
      inService &= ~(1 << served)
      if isRotation { lowest = served }
    case (false, true): if isRotation { lowest = input }
    case (false, false): rotatesAutomatically = isRotation
    }
  }

  /// OCW3: special mask mode, poll, and which register is read.
  private func operationCommand3(_ value: UInt8) {
    if value & 0x40 != 0 { isSpecialMask = value & 0x20 != 0 }
    if value & 0x04 != 0 { isPolled = true }
    if value & 0x02 != 0 { readsInService = value & 1 != 0 }
  }
}
