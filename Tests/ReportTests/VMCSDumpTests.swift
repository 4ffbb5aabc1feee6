import NestedVMX
import Report
import Testing
import VMX

@Suite struct VMCSDumpTests {
  /// A VMCS in which every field has a value of its own.
  static func full() -> VMCSDump {
    var dump = VMCSDump(kind: .vmcs01)
    for field in VMCSField.allInOrder {
      dump[field] = UInt64(field.rawValue) &* 0x0123_4567_89AB_CDEF | 1
    }
    dump.revision = 0x8000_0012
    dump.isLaunched = true
    dump.address = 0x12_3000
    dump.physicalAddressWidth = 39
    dump.isInIA32eMode = false
    dump.capabilities = Self.capabilities
    var context = MergeContext()
    context.eptPointer = 0xABC0_1E
    context.vpid = 2
    context.bitmapControls = .useMSRBitmaps
    context.pdptes = (1, 2, 3, .max)
    dump.prepared = PreparedFields(context)
    return dump
  }

  /// Every capability MSR exists, each with another value.
  static var capabilities: VMXCapabilities {
    var capabilities = VMXCapabilities()
    capabilities.basic = VMXBasicInformation(revision: 7)
    capabilities.truePrimaryProcessorBased = UInt64(PrimaryProcessorBasedControls.all.rawValue) << 32
    capabilities.secondaryProcessorBased = UInt64(SecondaryProcessorBasedControls.all.rawValue) << 32
    capabilities.trueExit = UInt64(PrimaryExitControls.all.rawValue) << 32
    capabilities.tertiaryProcessorBased = 5
    capabilities.secondaryExit = 6
    capabilities.vmFunction = 1
    capabilities.cr4Fixed1 = .max
    capabilities.eptAndVPID = .invept
    return capabilities
  }

  private static func parsed(_ text: String) throws -> VMCSDump { try VMCSDump(parsing: Array(text.utf8)) }

  /// What is wrong with `text`, or "nothing".
  private static func problem(_ text: String) -> String {
    do throws(VMCSDumpError) { _ = try VMCSDump(parsing: Array(text.utf8)) } catch { return error.problem }
    return "nothing"
  }

  @Test func whatIsWrittenIsRead() throws {
    let dump = Self.full()
    #expect(dump.fields.count == VMCSField.count)
    #expect(try Self.parsed(dump.json.text(indent: 2)) == dump)
    #expect(try Self.parsed(dump.json.text()) == dump)
    let bare = VMCSDump(kind: .vmcs)
    #expect(try Self.parsed(bare.json.text()) == bare)
  }

  @Test func fieldsStandInTheOrderOfTheirEncodings() throws {
    guard case .object(let members) = try #require(Self.full().json["fields"]) else {
      Issue.record("fields is no object")
      return
    }
    let encodings = members.compactMap { VMCSField.named($0.key)?.rawValue }
    #expect(encodings.count == members.count)
    #expect(encodings == encodings.sorted())
  }

  @Test func dumpOfAVMCSHasTheFieldsOfItsProcessorAndAllThatAreNotZero() {
    let vmcs = VMCS.allocate()
    defer { vmcs.deallocate() }
    vmcs[.guestRIP] = 0x1234
    vmcs[.hlatPrefixSize] = 3
    let dump = VMCSDump(vmcs, kind: .vmcs12, capabilities: VMXCapabilities())
    #expect(dump[.guestRIP] == 0x1234)
    #expect(dump[.guestRSP] == 0)
    #expect(dump[.hlatPrefixSize] == 3)
    #expect(dump[.eptPointer] == nil)
    dump.withVMCS { copy in
      #expect(copy[.guestRIP] == 0x1234)
      #expect(copy[.hlatPrefixSize] == 3)
      #expect(copy[.eptPointer] == 0)
    }
  }

  @Test func anybodyCanWriteASmallOne() throws {
    let dump = try Self.parsed(
      #"{"schema": "testudo.vmcs/1", "fields": {"GUEST_RIP": "0xFFf0", "VPID": 65535}}"#)
    #expect(dump.kind == .vmcs)
    #expect(dump[.guestRIP] == 0xFFF0)
    #expect(dump[.vpid] == 0xFFFF)
    #expect(dump.fields == [.vpid, .guestRIP])
  }

  @Test(
    arguments: [
      ("", ["line 1", "not JSON", "ends", "testudo.vmcs/1"]), ("{\n\"schema\" 1}", ["line 2", "':'"]),
      ("[]", ["an array", "testudo.vmcs/1"]), ("{}", ["schema is missing", "testudo.vmcs/1"]),
      (#"{"schema": "testudo.run/1"}"#, ["testudo.run/1", "expected \"testudo.vmcs/1\""]),
      (#"{"schema": "testudo.vmcs/1"}"#, ["fields is missing", "GUEST_RIP"]),
    ] as [(String, [String])])
  func whatIsNoDumpIsNamed(_ text: String, _ words: [String]) {
    let problem = Self.problem(text)
    for word in words { #expect(problem.contains(word), "\(problem)") }
  }

  @Test(
    arguments: [
      (#""fields": {"GUEST_RIPP": "0x1"}"#, ["GUEST_RIPP", "did you mean GUEST_RIP?"]),
      (#""fields": {"guest_cr3": "0x1"}"#, ["guest_cr3", "GUEST_CR3"]),
      (#""fields": {"VPID": "0x10000"}"#, ["VPID is \"0x10000\"", "16 bits"]),
      (#""fields": {"EXIT_REASON": 4294967296}"#, ["EXIT_REASON is 4294967296", "32 bits"]),
      (#""fields": {"GUEST_RIP": "0x10000000000000000"}"#, ["GUEST_RIP", "64 bits"]),
      (#""fields": {"GUEST_RIP": "4096"}"#, ["GUEST_RIP is \"4096\"", "0x"]),
      (#""fields": {"GUEST_RIP": "0x"}"#, ["GUEST_RIP", "0x"]),
      (#""fields": {"GUEST_RIP": -1}"#, ["GUEST_RIP is -1"]),
      (#""fields": {"GUEST_RIP": true}"#, ["GUEST_RIP is true"]),
      (#""fields": {"GUEST_RIP": {}}"#, ["GUEST_RIP is an object"]),
      (#""fields": {"GUEST_RIP": 1, "GUEST_RIP": 1}"#, ["GUEST_RIP is twice in fields"]),
      (#""fields": [], "kind": "vmcs12""#, ["fields is an array"]),
      (#""fields": {}, "kind": "vmcs21""#, ["kind is \"vmcs21\"", "vmcs01, vmcs12, vmcs02, vmcs"]),
      (#""fields": {}, "revision": "0x100000000""#, ["revision", "32 bits"]),
      (#""fields": {}, "launchState": "lunched""#, ["launchState", "\"clear\" or \"launched\""]),
      (#""fields": {}, "physicalAddressWidth": 31"#, ["physicalAddressWidth is 31", "32 to 52"]),
      (#""fields": {}, "physicalAddressWidth": 53"#, ["physicalAddressWidth is 53", "32 to 52"]),
      (#""fields": {}, "ia32eMode": 1"#, ["ia32eMode is 1", "true or false"]),
      (#""fields": {}, "capabilities": {"IA32_VMX_BASICS": 1}"#, ["did you mean IA32_VMX_BASIC?"]),
      (#""fields": {}, "prepared": {"EPTPOINTER": 1}"#, ["did you mean EPT_POINTER?"]),
      (#""fields": {}, "colour": 1"#, ["unknown key colour", "launchState"]),
      (#""fields": {}, "\u001b[2J": 1"#, [#"unknown key \u001b[2J"#]),
    ] as [(String, [String])])
  func mistakeIsNamed(_ members: String, _ words: [String]) {
    let problem = Self.problem(#"{"schema": "testudo.vmcs/1", "# + members + "}")
    for word in words { #expect(problem.contains(word), "\(problem)") }
    #expect(!problem.contains("\n"))
  }

  @Test func hostileFilesAreBounded() {
    #expect(Self.problem(String(repeating: " ", count: VMCSDump.largestFile + 1)).contains("at most 1 MByte"))
    #expect(Self.problem(String(repeating: "[", count: 100_000)).contains("nest deeper"))
    let name = String(repeating: "Y", count: 100_000)
    let problem = Self.problem(#"{"schema": "testudo.vmcs/1", "fields": {"\#(name)": 1}}"#)
    #expect(problem.contains("unknown field YYY"))
    #expect(problem.count < 300)
  }

  /// Whatever becomes of a dump's bytes, reading it ends in a dump or a phrase.
  @Test func damagedDumpsAreReadOrRefused() {
    let text = Array(Self.full().json.text().utf8)
    var random = SystemlessRandom(state: 7)
    var refused = 0
    for _ in 0..<300 {
      var damaged = text
      for _ in 0..<(1 + random.next() % 3) {
        damaged[Int(random.next() % UInt64(text.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      do throws(VMCSDumpError) { _ = try VMCSDump(parsing: damaged) } catch { refused += 1 }
      do throws(VMCSDumpError) {
        _ = try VMCSDump(parsing: Array(text.prefix(Int(random.next() % UInt64(text.count)))))
        Issue.record("a part of a dump was read")
      } catch {}
    }
    #expect(refused > 100)
  }
}

/// A generator of numbers, the same in every run.
struct SystemlessRandom {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 33
  }
}
