/// A segment register by its number in instruction encodings, and in the order of the VMCS's segment fields.
public enum SegmentRegister: UInt8, CaseIterable, Sendable {
  case es, cs, ss, ds, fs, gs
}
