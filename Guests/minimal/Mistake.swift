/// A mistake that a hypervisor could make, chosen by `broken=` on the command line, to see how it is reported.
enum Mistake: CaseIterable {
  case none
  /// Virtual NMIs without NMI exiting: VMLAUNCH fails for an invalid control field.
  case virtualNMIs
  /// Unrestricted guest without EPT: VMLAUNCH fails for an invalid control field.
  case unrestrictedGuest
  /// A reserved primary processor-based control is 1: VMLAUNCH fails for an invalid control field.
  case reservedControl
  /// The host's CR4.VMXE is 0: VMLAUNCH fails for an invalid host-state field.
  case hostCR4
  /// The guest's RFLAGS bit 1 is 0: a failed VM entry, reported as a VM exit.
  case guestRFLAGS
  /// The VMCS region has another revision identifier: VMPTRLD fails.
  case revision

  var name: StaticString {
    switch self {
    case .none: "none"
    case .virtualNMIs: "virtual-nmis"
    case .unrestrictedGuest: "unrestricted-guest"
    case .reservedControl: "reserved-control"
    case .hostCR4: "host-cr4"
    case .guestRFLAGS: "guest-rflags"
    case .revision: "revision"
    }
  }

  /// The mistake of an image whose command line names none: the image `minimal-broken` has one.
  static var builtIn: Self {
    #if BROKEN
      .virtualNMIs
    #else
      .none
    #endif
  }
}
