import VMX
import X86

/// Why a file is not a VMCS dump: one phrase that says what was expected.
public struct VMCSDumpError: Error, Equatable {
  public var problem: String
}

extension VMCSDump {
  /// The version of the format; a key's meaning never changes within one.
  public static let schema = "testudo.vmcs/1"

  /// The largest file that can be a dump, in bytes.
  public static let largestFile = 1 << 20

  // MARK: Writing

  /// The dump as one JSON object, its keys and fields in a fixed order.
  public var json: JSONValue {
    var members: [JSONValue.Member] = [
      .init("schema", .string(Self.schema)), .init("kind", .string(kind.rawValue)),
      .init("revision", Self.text(UInt64(revision))),
      .init("launchState", isLaunched ? "launched" : "clear"),
    ]
    if let address { members.append(.init("address", Self.text(address))) }
    let values = fields.map { JSONValue.Member("\($0.name)", Self.text(self[$0] ?? 0)) }
    members.append(.init("fields", .object(values)))
    if let prepared { members.append(.init("prepared", Self.json(prepared))) }
    if let capabilities { members.append(.init("capabilities", Self.json(capabilities))) }
    if let physicalAddressWidth {
      members.append(.init("physicalAddressWidth", .unsigned(UInt64(physicalAddressWidth))))
    }
    if let isInIA32eMode { members.append(.init("ia32eMode", .bool(isInIA32eMode))) }
    return .object(members)
  }

  private static func text(_ value: UInt64) -> JSONValue { .string(hexadecimal(value)) }

  private static func json(_ prepared: PreparedFields) -> JSONValue {
    .object(
      zip(PreparedFields.slots, prepared.values).map { .init("\($0.field.name)", text($1)) })
  }

  private static func json(_ capabilities: VMXCapabilities) -> JSONValue {
    .object(
      CapabilityRegisters.all.compactMap { register in
        guard let name = ModelSpecificRegister(rawValue: register.index).name,
          capabilities.value(ofMSR: register.index) != nil
        else { return nil }
        return .init("\(name)", text(capabilities[keyPath: register.path]))
      })
  }

  // MARK: Reading

  /// The dump that `text`, the bytes of a file, holds.
  public init(parsing text: [UInt8]) throws(VMCSDumpError) {
    guard text.count <= Self.largestFile else {
      throw VMCSDumpError(problem: "\(text.count) bytes: expected a VMCS dump of at most 1 MByte")
    }
    let value: JSONValue
    do throws(JSONError) { value = try JSONValue(parsing: text) } catch {
      throw VMCSDumpError(
        problem: "line \(error.line): not JSON: \(error.problem): expected a VMCS dump (\(Self.schema))")
    }
    try self.init(value)
  }

  private init(_ value: JSONValue) throws(VMCSDumpError) {
    guard case .object(let members) = value else {
      throw VMCSDumpError(
        problem: "\(value.kindName): expected an object with \"schema\": \"\(Self.schema)\"")
    }
    guard value["schema"] == .string(Self.schema) else {
      let found = value["schema"].map { Self.shown($0) } ?? "missing"
      throw VMCSDumpError(problem: "schema is \(found): expected \"\(Self.schema)\"")
    }
    self.init(kind: try Self.kind(value["kind"]))
    guard value["fields"] != nil else {
      throw VMCSDumpError(
        problem: "fields is missing: expected an object such as {\"GUEST_RIP\": \"0x1000\"}")
    }
    try Self.checkUnique(members, in: "the dump")
    for member in members { try read(member) }
  }

  private static func kind(_ value: JSONValue?) throws(VMCSDumpError) -> Kind {
    guard let value else { return .vmcs }
    guard case .string(let name) = value, let kind = Kind(rawValue: name) else {
      let names = Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw VMCSDumpError(problem: "kind is \(shown(value)): expected one of \(names)")
    }
    return kind
  }

  private mutating func read(_ member: JSONValue.Member) throws(VMCSDumpError) {
    switch member.key {
    case "schema", "kind": break
    case "revision": revision = UInt32(try Self.number(member, upTo: 0xFFFF_FFFF, "a number of 32 bits"))
    case "launchState": isLaunched = try Self.launchState(member.value)
    case "address": address = try Self.number(member, upTo: .max, "an address")
    case "fields": try readFields(member.value)
    case "prepared": prepared = try Self.prepared(member.value)
    case "capabilities": capabilities = try Self.capabilities(member.value)
    case "physicalAddressWidth":
      let width = try Self.number(member, upTo: 52, "a number of bits from 32 to 52")
      guard width >= 32 else { throw Self.unexpected(member, "a number of bits from 32 to 52") }
      physicalAddressWidth = UInt8(width)
    case "ia32eMode":
      guard case .bool(let flag) = member.value else { throw Self.unexpected(member, "true or false") }
      isInIA32eMode = flag
    default:
      throw VMCSDumpError(
        problem: "unknown key \(Self.shownName(member.key)): expected schema, kind, revision, launchState, "
          + "address, fields, prepared, capabilities, physicalAddressWidth or ia32eMode")
    }
  }

  private static func launchState(_ value: JSONValue) throws(VMCSDumpError) -> Bool {
    switch value {
    case "launched": return true
    case "clear": return false
    default: throw unexpected(.init("launchState", value), "\"clear\" or \"launched\"")
    }
  }

  private mutating func readFields(_ value: JSONValue) throws(VMCSDumpError) {
    for member in try Self.members(value, of: "fields") {
      let field = try Self.field(member.key)
      let bits = field.width.mask.nonzeroBitCount
      self[field] = try Self.number(member, upTo: field.width.mask, "a number of \(bits) bits, as \"0x…\"")
    }
  }

  private static func field(_ name: String) throws(VMCSDumpError) -> VMCSField {
    if let field = VMCSField.named(name) { return field }
    let names = VMCSField.allInOrder.map { "\($0.name)" }
    throw VMCSDumpError(problem: "unknown field \(shownName(name)): \(suggestion(for: name, among: names))")
  }

  private static func prepared(_ value: JSONValue) throws(VMCSDumpError) -> PreparedFields {
    var prepared = PreparedFields()
    let names = PreparedFields.slots.map { "\($0.field.name)" }
    for member in try members(value, of: "prepared") {
      guard let position = names.firstIndex(of: member.key) else {
        throw VMCSDumpError(
          problem: "prepared: unknown field \(shownName(member.key)): "
            + suggestion(for: member.key, among: names))
      }
      let mask = PreparedFields.slots[position].field.width.mask
      prepared.values[position] = try number(
        member, upTo: mask, "a number of \(mask.nonzeroBitCount) bits, as \"0x…\"")
    }
    return prepared
  }

  private static func capabilities(_ value: JSONValue) throws(VMCSDumpError) -> VMXCapabilities {
    var capabilities = VMXCapabilities()
    let names = CapabilityRegisters.all.map {
      ModelSpecificRegister(rawValue: $0.index).name.map { "\($0)" } ?? ""
    }
    for member in try members(value, of: "capabilities") {
      guard let position = names.firstIndex(of: member.key) else {
        throw VMCSDumpError(
          problem: "capabilities: unknown MSR \(shownName(member.key)): "
            + suggestion(for: member.key, among: names))
      }
      capabilities[keyPath: CapabilityRegisters.all[position].path] = try number(
        member, upTo: .max, "a number of 64 bits, as \"0x…\"")
    }
    return capabilities
  }

  private static func members(_ value: JSONValue, of key: String) throws(VMCSDumpError) -> [JSONValue.Member]
  {
    guard case .object(let members) = value else { throw unexpected(.init(key, value), "an object") }
    try checkUnique(members, in: key)
    return members
  }

  private static func checkUnique(_ members: [JSONValue.Member], in place: String) throws(VMCSDumpError) {
    var seen: Set<String> = []
    for member in members where !seen.insert(member.key).inserted {
      throw VMCSDumpError(problem: "\(shownName(member.key)) is twice in \(place): expected it once")
    }
  }

  /// The number of `member`: a string of hexadecimal digits after 0x, or a JSON integer, up to `greatest`.
  private static func number(
    _ member: JSONValue.Member, upTo greatest: UInt64, _ expected: String
  ) throws(VMCSDumpError) -> UInt64 {
    guard let value = number(member.value), value <= greatest else { throw unexpected(member, expected) }
    return value
  }

  private static func number(_ value: JSONValue) -> UInt64? {
    switch value {
    case .unsigned(let number): return number
    case .string(let text):
      let digits = text.dropFirst(2)
      guard text.hasPrefix("0x"), digits.allSatisfy(\.isHexDigit) else { return nil }
      return UInt64(digits, radix: 16)
    default: return nil
    }
  }

  // MARK: Complaints

  private static func unexpected(_ member: JSONValue.Member, _ expected: String) -> VMCSDumpError {
    VMCSDumpError(
      problem: "\(shownName(member.key)) is \(shown(member.value)): expected \(expected)")
  }

  /// A name that anybody may have written, without its control characters.
  private static func shownName(_ name: String) -> String {
    String(JSONValue.string(String(name.prefix(60))).text().dropFirst().dropLast())
  }

  private static func shown(_ value: JSONValue) -> String {
    switch value {
    case .array, .object: value.kindName
    default: String(value.text().prefix(60))
    }
  }

  private static func suggestion(for name: String, among names: [String]) -> String {
    guard name.utf8.count <= 80,
      let nearest = names.min(by: { distance($0, name) < distance($1, name) })
    else { return "expected a name of the SDM's field table in capitals, such as \(names.first ?? "")" }
    return "did you mean \(nearest)?"
  }

  /// The number of letters to insert, drop, change or exchange with the next that makes one name of the other.
  private static func distance(_ from: String, _ to: String) -> Int {
    let letters = Array(to.uppercased().utf8)
    var earlier: [Int] = []
    var row = Array(0...letters.count)
    var previous: UInt8 = 0
    for (line, letter) in from.utf8.enumerated() {
      var next = [line + 1]
      for (column, other) in letters.enumerated() {
        var steps = min(row[column] + (letter == other ? 0 : 1), row[column + 1] + 1, next[column] + 1)
        if line > 0, column > 0, letter == letters[column - 1], previous == other {
          steps = min(steps, earlier[column - 1] + 1)
        }
        next.append(steps)
      }
      (earlier, row, previous) = (row, next, letter)
    }
    return row[letters.count]
  }
}
