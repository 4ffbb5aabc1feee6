/// The x87, SSE and AVX state as an XSAVE area of the standard form in the host's memory: how tests give and take it,
/// without the instructions that they may be about.
///
/// Source: SDM volume 1, "XSAVE Area".
enum ExtendedStateImage {
  /// The bytes up to the end of the AVX component.
  static let size = 832
  private static let upperHalves = 576

  static func load(_ image: UnsafeRawBufferPointer, into core: Core) {
    guard image.count >= size else { return }
    func read<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) -> T {
      image.loadUnaligned(fromByteOffset: offset, as: T.self)
    }
    let state = core.extendedState
    state.pointee.controlWord = read(0, as: UInt16.self)
    state.pointee.statusWord = read(2, as: UInt16.self)
    state.pointee.tags = read(4, as: UInt8.self)
    state.pointee.opcode = read(6, as: UInt16.self)
    state.pointee.instructionPointer = read(8, as: UInt64.self)
    state.pointee.dataPointer = read(16, as: UInt64.self)
    state.pointee.mxcsr = read(24, as: UInt32.self)
    for index in 0..<8 {
      let offset = 32 + index * 16
      core.x87.registers[physical(index, core)] = X87Register(
        significand: read(offset, as: UInt64.self), signAndExponent: read(offset + 8, as: UInt16.self))
    }
    for number in 0..<16 {
      for word in 0..<4 {
        state.pointee.vectors[number].words[word] = read(vectorOffset(number, word), as: UInt64.self)
      }
    }
    core.x87.updateSummary()
  }

  static func save(_ core: Core, to image: UnsafeMutableRawBufferPointer) {
    guard image.count >= size else { return }
    func write<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
      image.storeBytes(of: value, toByteOffset: offset, as: T.self)
    }
    let state = core.extendedState
    write(state.pointee.controlWord, 0)
    write(state.pointee.statusWord, 2)
    write(UInt16(state.pointee.tags), 4)
    write(state.pointee.opcode, 6)
    write(state.pointee.instructionPointer, 8)
    write(state.pointee.dataPointer, 16)
    write(state.pointee.mxcsr, 24)
    for index in 0..<8 {
      let value = core.x87.registers[physical(index, core)]
      write(value.significand, 32 + index * 16)
      write(value.signAndExponent, 40 + index * 16)
    }
    for number in 0..<16 {
      for word in 0..<4 { write(state.pointee.vectors[number].words[word], vectorOffset(number, word)) }
    }
    write(UInt64(7), 512)
  }

  private static func physical(_ index: Int, _ core: Core) -> Int { (Int(core.x87.top) + index) & 7 }

  private static func vectorOffset(_ number: Int, _ word: Int) -> Int {
    word < 2 ? 160 + number * 16 + word * 8 : upperHalves + number * 16 + (word - 2) * 8
  }
}

extension SoftwareCPU {
  /// The processor's state as ``BareProcessor``'s.
  package func loadExtendedState(_ image: UnsafeRawBufferPointer) {
    ExtendedStateImage.load(image, into: core)
  }
  package func saveExtendedState(to image: UnsafeMutableRawBufferPointer) {
    ExtendedStateImage.save(core, to: image)
  }
}
