import CKVM
import Glibc
import X86

/// A guest of a few instructions in 64-bit mode, to find out what KVM does with them.
final class TinyGuest {
  private let machine: KVMVirtualMachine
  private let file: Int32
  /// The guest's RAM, as L0 sees it.
  private let ram: UnsafeMutableRawPointer
  /// Where KVM finds it: RAM, in which pages can be missing.
  private let window: UnsafeMutableRawPointer
  private let timer: Int

  /// Where things are in the guest's RAM, whose first 2 MByte are mapped to themselves.
  private enum Place {
    static let size = 1 << 21
    static let pageTables = 0x1000
    static let code = 0x8000
    static let data = 0x9000
    static let readOnly = 0xB000
    static let missing = 0xA000
    static let otherData = 0xC000
    /// A linear address whose page is changed.
    static let moving = 0xD000
  }

  /// How a run ended.
  private struct End {
    /// 0, or the errno of KVM_RUN.
    var error: Int32
    var reason: UInt32
    var registers: kvm_regs

    func isExit(_ wanted: UInt32) -> Bool { error == 0 && reason == wanted }
    /// The place of the next instruction in the guest's code.
    var offset: Int { Int(truncatingIfNeeded: registers.rip) - Place.code }
    /// Whether no instruction has changed RBX, which begins with a mark.
    var isUntouched: Bool { registers.rbx == TinyGuest.mark }
  }

  private static let mark: UInt64 = 0x1234_5678
  /// No guest here needs so much time.
  private static let patience: UInt64 = 2_000_000_000

  init(_ system: KVMSystem) throws(KVMError) {
    machine = try KVMVirtualMachine(system)
    file = ckvm_memory_file("testudo-calibration", UInt64(Place.size))
    guard file >= 0 else { throw .last(.memoryFile) }
    ram = try Self.map(nil, Place.size, PROT_READ | PROT_WRITE, file, 0)
    window = try Self.map(nil, Place.size, PROT_READ | PROT_WRITE, file, 0)
    let readOnly = window + Place.readOnly
    _ = try Self.map(readOnly, 4096, PROT_READ, file, Place.readOnly)
    let missing = window + Place.missing
    let isMissing = mmap(
      missing, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0)
    guard isMissing == missing else { throw .last(.mapMemory) }
    timer = ckvm_create_timer()
    guard timer != -1 else { throw .last(.timer) }
    try machine.setMemory(slot: 0, guest: 0, size: UInt64(Place.size), host: window)
    for level in 0..<3 {
      let table = Place.pageTables + level << 12
      ram.storeBytes(of: UInt64(table + 0x1000) | 7, toByteOffset: table, as: UInt64.self)
    }
    for page in 0..<512 { setPage(page << 12, page << 12) }
    ckvm_want(machine.run, false)
  }

  /// Has the guest find `address` at the linear address `linear`.
  private func setPage(_ linear: Int, _ address: Int) {
    let entry = Place.pageTables + 3 << 12 + (linear >> 12) * 8
    ram.storeBytes(of: UInt64(address) | 7, toByteOffset: entry, as: UInt64.self)
  }

  private static func map(
    _ place: UnsafeMutableRawPointer?, _ size: Int, _ protection: Int32, _ file: Int32, _ offset: Int
  ) throws(KVMError) -> UnsafeMutableRawPointer {
    let flags = place == nil ? MAP_SHARED : MAP_SHARED | MAP_FIXED
    guard let mapped = mmap(place, size, protection, flags, file, off_t(offset)), mapped != MAP_FAILED
    else { throw .last(.mapMemory) }
    return mapped
  }

  deinit {
    ckvm_delete_timer(timer)
    munmap(ram, Place.size)
    munmap(window, Place.size)
    close(file)
  }

  // MARK: Running

  /// Runs `code` with RBX marked and RAX the address of something, in user mode by `isUser`.
  private func run(
    _ code: [UInt8], address: Int = Place.data, cr4: CR4 = .pae, idt: UInt64? = nil, isUser: Bool = false
  ) -> End {
    for (index, byte) in code.enumerated() {
      ram.storeBytes(of: byte, toByteOffset: Place.code + index, as: UInt8.self)
    }
    let special = machine.specialRegisters
    special.pointee = machine.initial
    special.pointee.cr0 = CR0([.pe, .et, .ne, .wp, .pg, .ts]).rawValue
    special.pointee.cr3 = UInt64(Place.pageTables)
    special.pointee.cr4 = cr4.rawValue
    special.pointee.efer = EFER([.lme, .lma]).rawValue
    special.pointee.cs = Self.segment(isCode: true, isUser)
    let data = Self.segment(isCode: false, isUser)
    (special.pointee.ds, special.pointee.es, special.pointee.ss) = (data, data, data)
    (special.pointee.fs, special.pointee.gs) = (data, data)
    special.pointee.idt.base = idt ?? 0
    special.pointee.idt.limit = idt == nil ? 0 : 0xFFF
    machine.registers.pointee = kvm_regs()
    machine.registers.pointee.rip = UInt64(Place.code)
    machine.registers.pointee.rsp = UInt64(Place.data + 0x800)
    machine.registers.pointee.rax = UInt64(address)
    machine.registers.pointee.rbx = Self.mark
    machine.registers.pointee.rflags = 2 | machine.steppingFlag
    ckvm_load(machine.run, true, true)
    ckvm_clear_events(machine.run)
    return enter()
  }

  private func enter() -> End {
    ckvm_accept_kicks(machine.run)
    ckvm_set_timer(timer, Self.patience)
    let error = machine.enter()
    ckvm_set_timer(timer, 0)
    ckvm_accept_kicks(nil)
    ckvm_set_immediate_exit(machine.run, false)
    return End(error: error, reason: machine.exitReason, registers: machine.registers.pointee)
  }

  /// Ends an access that is pending in KVM.
  private func complete() {
    ckvm_set_immediate_exit(machine.run, true)
    _ = machine.enter()
    ckvm_set_immediate_exit(machine.run, false)
  }

  private static func segment(isCode: Bool, _ isUser: Bool) -> kvm_segment {
    var value = kvm_segment()
    value.limit = .max
    value.dpl = isUser ? 3 : 0
    value.selector = (isCode ? 8 : 16) | UInt16(value.dpl)
    value.type = isCode ? 11 : 3
    value.s = 1
    value.present = 1
    value.g = 1
    if isCode { value.l = 1 } else { value.db = 1 }
    return value
  }

  // MARK: Measuring

  private enum Code {
    static let nop: UInt8 = 0x90
    static let hlt: UInt8 = 0xF4
    static let ud2: [UInt8] = [0x0F, 0x0B]
    static let vmresume: [UInt8] = [0x0F, 0x01, 0xC3]
    static let vmcall: [UInt8] = [0x0F, 0x01, 0xC1]
    /// MOV EBX, [RAX], and MOV [RAX], EBX.
    static let load: [UInt8] = [0x8B, 0x18]
    static let store: [UInt8] = [0x89, 0x18]
  }

  func measure(_ value: inout KVMCalibration) throws(KVMError) {
    let halt = run([Code.nop, Code.hlt])
    value.haltExits = halt.isExit(KVMExit.halt) && halt.offset == 2
    if halt.error != 0, halt.error != EINTR { throw .refused(.run, errno: halt.error) }
    measureAccesses(&value)
    measureTime(&value)
    for bit in [CR4.smep, .smap] where run([Code.hlt], cr4: [.pae, bit]).isExit(KVMExit.halt) {
      value.cr4.insert(bit)
    }
    value.holdsVMXE = run([Code.hlt], cr4: [.pae, .vmxe]).isExit(KVMExit.halt)
    try measureSteps(&value)
    // An IDT that cannot be read, to see where the exception stops.
    let missed = run([Code.nop] + Code.ud2, idt: UInt64(Place.missing))
    if missed.error == EFAULT, missed.offset == 1, missed.isUntouched { value.exceptions = .missingPage }
  }

  private func measureAccesses(_ value: inout KVMCalibration) {
    let load = run([Code.nop] + Code.load + [Code.hlt], address: Place.missing)
    if load.error == EFAULT, load.offset == 1 { value.missedLoads = .fault }
    if load.isExit(KVMExit.memoryMapped), load.offset == 1, load.isUntouched {
      value.missedLoads = .deviceBefore
      complete()
    }
    value.missedStores = storing(Place.missing)
    value.readOnlyStores = storing(Place.readOnly)
  }

  private func storing(_ address: Int) -> KVMCalibration.MissedAccess {
    let store = run([Code.nop] + Code.store + [Code.hlt], address: address)
    if store.error == EFAULT, store.offset == 1 { return .fault }
    guard store.isExit(KVMExit.memoryMapped), ckvm_mmio_is_write(machine.run) else { return .unusable }
    complete()
    return store.offset == 3 ? .deviceAfter : store.offset == 1 ? .deviceBefore : .unusable
  }

  private func measureSteps(_ value: inout KVMCalibration) throws(KVMError) {
    do throws(KVMError) { try machine.setStepping(true) } catch { return }
    let step = run([Code.nop, Code.nop, Code.hlt])
    value.singleSteps = step.isExit(KVMExit.debug) && step.offset == 1
    try machine.setStepping(false)
  }

  private func measureTime(_ value: inout KVMCalibration) {
    var times: [Double] = []
    for _ in 0..<65 {
      let start = ckvm_time()
      _ = run([Code.hlt])
      times.append(Double(ckvm_time() &- start))
    }
    let timeOfRun = times.sorted()[times.count / 2]
    value.nanosecondsPerRun = timeOfRun
    // Long enough to be told from the run itself, and from what disturbs one run of several.
    var count: UInt32 = 1000
    while let time = (0..<3).map({ _ in timeOfLoop(count) - timeOfRun }).min(), time.isFinite {
      if time > 2e6 || count > 1 << 26 {
        value.nanosecondsPerInstruction = max(time / Double(2 * count), 0.01)
        return
      }
      count *= 8
    }
  }

  /// What a run takes that has so many rounds of a loop of two instructions, in nanoseconds; infinity if it does not end.
  private func timeOfLoop(_ rounds: UInt32) -> Double {
    // MOV ECX, rounds; DEC ECX; JNZ to the DEC; HLT.
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: rounds >> ($0 * 8)) }
    let start = ckvm_time()
    let end = run([0xB9] + bytes + [0xFF, 0xC9, 0x75, 0xFC, Code.hlt])
    let time = Double(ckvm_time() &- start)
    return end.isExit(KVMExit.halt) ? time : .infinity
  }

  /// What may leave the virtual CPU without its state.
  func measureShutdown(_ value: inout KVMCalibration) throws(KVMError) {
    let shutdown = run([Code.nop] + Code.ud2)
    let isKept = shutdown.isExit(KVMExit.shutdown) && shutdown.offset == 1 && shutdown.isUntouched
    if isKept, run([Code.nop, Code.hlt]).isExit(KVMExit.halt) { value.exceptions = .shutdown }
    let idt = value.exceptions == .missingPage ? UInt64(Place.missing) : nil
    value.followsTables = followsTables(isUser: false, idt)
    value.followsTablesOfUsers = followsTables(isUser: true, idt)
    value.vmxInstruction = surfacing(Code.vmresume, idt)
    if machine.keepsHypercalls { value.hypercall = surfacing(Code.vmcall, idt) }
  }

  /// Whether the guest sees a page where L0 has changed the paging structures, once its TLB has been emptied: a KVM that keeps
  /// tables of its own in place of the guest's hears of the guest's stores to them alone.
  private func followsTables(isUser: Bool, _ idt: UInt64?) -> Bool {
    defer { setPage(Place.moving, Place.moving) }
    for (number, place) in [Place.data, Place.otherData, Place.data].enumerated() {
      ram.storeBytes(of: UInt32(place), toByteOffset: place, as: UInt32.self)
      setPage(Place.moving, place)
      let cr4: CR4 = number & 1 == 0 ? [.pae] : [.pae, .pge]
      // HLT is an exception in user mode.
      let end = run(Code.load + [Code.hlt], address: Place.moving, cr4: cr4, idt: idt, isUser: isUser)
      guard end.offset >= Code.load.count, end.registers.rbx == UInt64(place) else { return false }
    }
    return true
  }

  private func surfacing(_ code: [UInt8], _ idt: UInt64?) -> KVMCalibration.Surfacing {
    let end = run([Code.nop] + code + [Code.hlt], idt: idt)
    guard end.offset == 1 else { return .other }
    if end.isExit(KVMExit.internalError) { return .internalError }
    return end.isExit(KVMExit.shutdown) || end.error == EFAULT ? .exception : .other
  }
}
