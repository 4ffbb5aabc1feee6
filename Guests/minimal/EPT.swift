struct EPTPermissions: OptionSet {
  var rawValue: UInt64
  static var readExecute: Self { Self(rawValue: 5) }
  static var readWrite: Self { Self(rawValue: 3) }
}
struct EPTEntry {
  var rawValue: UInt64
  init(table: UInt64) { rawValue = table | 7 }
  init(page: UInt64, _ p: EPTPermissions) { rawValue = page | p.rawValue | 6 << 3 }
}
struct EPTPointer {
  var rawValue: UInt64
  init(pml4: UInt64) { rawValue = pml4 | 3 << 3 | 6 }
}
enum INVEPTType: UInt64 { case singleContext = 1, allContexts }
