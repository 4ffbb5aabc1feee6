import CKVM
import Glibc
import InstructionDecoder

/// A page of a guest's code in which the instructions are known that a virtual CPU may come to, beginning at the places
/// where it entered the page.
///
/// The virtual CPU executes a copy, in which HLT stands at each *site*: a sensitive instruction, and every instruction
/// behind which control may leave the page, since what lies there depends on page tables. HLT has one byte, so it fits
/// over every instruction, and KVM leaves KVM_RUN at it with nothing pending. So no instruction is executed that was not
/// decoded before. The copy is made for one decoding mode.
///
/// A guest that loads from the page that it executes may see the HLTs; with `--intercepts stepped` there are none.
final class CodePage {
  /// The L0-physical page number.
  let page: Int
  let mode: DecodeMode
  /// The linear address that its offsets are added to, if branches out of the page are followed (``InterceptMode/native``).
  let linear: UInt64?
  /// The branches out of the page that have not been followed yet.
  private(set) var exits: [PageExit] = []
  /// Those that have been, which are no sites any more.
  private var links: [Int] = []
  /// What the page held when it was decoded.
  private let original: UnsafeMutableRawPointer
  /// What the virtual CPU executes, and where in the file of copies it is.
  let copy: UnsafeMutableRawPointer
  let copyOffset: UInt64
  /// What is known of each byte.
  private let marks: UnsafeMutablePointer<Mark>
  /// Whether one instruction's site would be inside another, as when code jumps into the middle of an instruction: then
  /// the software processor executes the page.
  private(set) var isConflicted = false
  /// What has been found out of the ways through the page, until they change.
  var knownWays = KnownWays()
  /// Whether runs of it have been gains of late.
  var isGain: Bool { merit > 0 }
  /// What the runs that began here have been: grows by gains, and shrinks by others.
  private var merit: Int8 = 0
  /// Stores to the page since it was decoded.
  var stores = 0
  /// After so many the page is data, until it is executed again.
  static let greatestStoreCount = 64

  /// HLT, and what it is executed for.
  static let trap: UInt8 = 0xF4
  static let size = 4096

  struct Mark: OptionSet {
    var rawValue: UInt8
    /// An instruction begins here.
    static let start = Mark(rawValue: 1 << 0)
    /// It is a site.
    static let site = Mark(rawValue: 1 << 1)
    /// An instruction that begins before goes on here.
    static let interior = Mark(rawValue: 1 << 2)
  }

  init(
    page: Int, mode: DecodeMode, linear: UInt64?, bytes: UnsafeRawPointer, copy: UnsafeMutableRawPointer,
    copyOffset: UInt64
  ) {
    self.page = page
    self.mode = mode
    self.linear = linear
    self.copy = copy
    self.copyOffset = copyOffset
    original = .allocate(byteCount: Self.size, alignment: 64)
    original.copyMemory(from: bytes, byteCount: Self.size)
    copy.copyMemory(from: bytes, byteCount: Self.size)
    marks = .allocate(capacity: Self.size)
    marks.initialize(repeating: [], count: Self.size)
  }

  deinit {
    original.deallocate()
    marks.deallocate()
  }

  /// Whether the virtual CPU leaves KVM at `offset`, as far as is known.
  func isKnownSite(_ offset: Int) -> Bool { marks[offset].contains(.site) }

  /// Takes note of a run on KVM that began in the page.
  func noteRun(isGain: Bool) { merit = isGain ? min(merit + 2, 8) : max(merit - 1, -4) }

  /// Whether the instruction at `offset` is the software processor's; what is not known yet is found out.
  func isSite(_ offset: Int) -> Bool {
    if !marks[offset].contains(.start) { decode(from: offset) }
    return isConflicted || marks[offset].contains(.site)
  }

  /// Makes the instruction at `offset` a site, since the host cannot execute it.
  func makeSite(_ offset: Int) {
    guard marks[offset].contains(.start) else { return }
    if marks[offset].contains(.interior) { isConflicted = true }
    knownWays = KnownWays()
    marks[offset].insert(.site)
    copy.storeBytes(of: Self.trap, toByteOffset: offset, as: UInt8.self)
  }

  /// The instruction at `offset`, if one is known there.
  func instruction(at offset: Int) -> Instruction? {
    guard marks[offset].contains(.start) else { return nil }
    return decoded(offset)
  }

  /// Where the instructions begin that end before `offset`.
  func starts(endingAt offset: Int) -> [Int] {
    (1...15).map { offset - $0 }.filter { $0 >= 0 && marks[$0].contains(.start) }
      .filter { decoded($0).map { Int($0.length) } == offset - $0 }
  }

  /// Takes over what `bytes` has become; false if an instruction that is known has changed.
  func update(from bytes: UnsafeRawPointer) -> Bool {
    guard memcmp(bytes, original, Self.size) != 0 else { return true }
    for offset in 0..<Self.size {
      let byte = bytes.load(fromByteOffset: offset, as: UInt8.self)
      guard byte != original.load(fromByteOffset: offset, as: UInt8.self) else { continue }
      guard marks[offset].isEmpty else { return false }
      original.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
      copy.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
    }
    return true
  }

  // MARK: Decoding

  func decoded(_ offset: Int) -> Instruction? {
    let bytes = original.assumingMemoryBound(to: UInt8.self) + offset
    return try? Instruction.decode(bytes, count: min(15, Self.size - offset), mode: mode)
  }

  /// Decodes from `start` along every way that stays in the page.
  private func decode(from start: Int) {
    knownWays = KnownWays()
    var places = [start]
    while let offset = places.popLast() {
      guard !marks[offset].contains(.start) else { continue }
      guard let instruction = decoded(offset) else {
        // Undefined, or it goes on in the next page.
        note(offset, length: 1, isSite: true)
        continue
      }
      let ways = ways(of: instruction, at: offset)
      let (inside, outside) = ways.places.partitioned { 0..<Self.size ~= $0 }
      note(offset, length: Int(instruction.length), isSite: ways.isSite || !outside.isEmpty)
      // A sensitive instruction is executed elsewhere, but a call among them comes back here.
      if outside.isEmpty || linear != nil { places += inside }
      guard let linear, !ways.isSite, !outside.isEmpty else { continue }
      exits.append(PageExit(offset: offset, targets: outside.map { linear &+ UInt64(bitPattern: Int64($0)) }))
    }
  }

  // MARK: Branches out of the page

  /// The branches to be followed, which nobody else follows then.
  func takeExits() -> [PageExit] {
    defer { exits = [] }
    return exits
  }

  /// Has the virtual CPU execute the branch at `offset`, whose targets are all decoded.
  func link(_ offset: Int) {
    guard marks[offset].contains(.site), !isConflicted else { return }
    knownWays = KnownWays()
    marks[offset].remove(.site)
    links.append(offset)
    copy.storeBytes(
      of: original.load(fromByteOffset: offset, as: UInt8.self), toByteOffset: offset, as: UInt8.self)
  }

  /// Makes every branch out of the page a site again, to be followed anew.
  func unlink() {
    for offset in links {
      makeSite(offset)
      guard let linear, let instruction = decoded(offset) else { continue }
      let outside = ways(of: instruction, at: offset).places.filter { !(0..<Self.size ~= $0) }
      exits.append(PageExit(offset: offset, targets: outside.map { linear &+ UInt64(bitPattern: Int64($0)) }))
    }
    links = []
  }

  private func note(_ offset: Int, length: Int, isSite: Bool) {
    if isSite, marks[offset].contains(.interior) { isConflicted = true }
    marks[offset].insert(isSite ? [.start, .site] : .start)
    for inner in (offset + 1)..<max(offset + 1, min(offset + length, Self.size)) {
      if marks[inner].contains(.site) { isConflicted = true }
      marks[inner].insert(.interior)
    }
    if isSite { copy.storeBytes(of: Self.trap, toByteOffset: offset, as: UInt8.self) }
  }
}

/// A branch out of a page.
struct PageExit {
  /// Where in the page it is.
  var offset: Int
  /// The linear addresses that it may lead to outside the page.
  var targets: [UInt64]
}

extension Array {
  /// The elements that meet `condition`, and the others.
  fileprivate func partitioned(by condition: (Element) -> Bool) -> ([Element], [Element]) {
    (filter(condition), filter { !condition($0) })
  }
}

/// The file that copies of code pages lie in, page by page.
final class CopyStore {
  let descriptor: Int32
  private let base: UnsafeMutableRawPointer
  private var free: [UInt64] = []
  private var used: UInt64 = 0
  /// More pages of code than a guest executes between two changes of it.
  private static let capacity: UInt64 = 1 << 16

  init() throws(KVMError) {
    let size = Self.capacity << 12
    descriptor = ckvm_memory_file("testudo-code", size)
    guard descriptor >= 0 else { throw .last(.memoryFile) }
    let mapped = mmap(
      nil, Int(size), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0)
    guard let mapped, mapped != MAP_FAILED else {
      let error = KVMError.last(.mapMemory)
      close(descriptor)
      throw error
    }
    base = mapped
  }

  deinit {
    munmap(base, Int(Self.capacity << 12))
    close(descriptor)
  }

  /// A page, and its offset in the file; nil if all are taken.
  func take() -> (UnsafeMutableRawPointer, UInt64)? {
    let offset: UInt64
    if let last = free.popLast() {
      offset = last
    } else {
      guard used < Self.capacity else { return nil }
      offset = used << 12
      used += 1
    }
    return (base + Int(offset), offset)
  }

  func give(back offset: UInt64) { free.append(offset) }
}
