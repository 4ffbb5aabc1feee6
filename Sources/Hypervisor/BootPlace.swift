/// Where the boot information lies in L1-physical memory. The image must not load over it, so it has two places to
/// choose from.
struct BootPlace: Equatable {
  /// What is added to the addresses of the lower place.
  private let offset: UInt64

  /// 1000H to 10000H, and 81000H to 90000H.
  static let low = BootPlace(offset: 0)
  static let high = BootPlace(offset: 0x8_0000)

  var startInfo: UInt64 { offset + 0x1000 }
  var startInfoMap: UInt64 { offset + 0x1100 }
  var multiboot: UInt64 { offset + 0x2000 }
  var multibootMap: UInt64 { offset + 0x2100 }
  var loaderName: UInt64 { offset + 0x2800 }
  var commandLine: UInt64 { offset + 0x3000 }
  var gdt: UInt64 { offset + 0x4000 }
  /// The GDT for Linux, whose boot protocol names its selectors.
  var linuxGDT: UInt64 { offset + 0x4100 }
  var pageTables: UInt64 { offset + 0x5000 }
  var linuxParameters: UInt64 { offset + 0xB000 }
  var startInfoModules: UInt64 { offset + 0xC000 }
  var multibootModules: UInt64 { offset + 0xC800 }
  var moduleTexts: UInt64 { offset + 0xD000 }
  var end: UInt64 { offset + 0x1_0000 }

  var range: Range<UInt64> { startInfo..<end }
}
