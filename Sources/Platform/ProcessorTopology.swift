import X86

/// How the virtual CPUs form one package: a core each, without hyper-threads.
///
/// Source: SDM volume 3, "Hierarchical Mapping of Shared Resources" and "Algorithm for Three-Level Mappings of APIC_ID".
struct ProcessorTopology {
  /// The APIC identifier of this virtual CPU.
  var identifier: UInt32
  /// The number of virtual CPUs, from 1.
  var count: UInt32

  /// How many low bits of an APIC identifier tell the cores of the package apart.
  var coreBits: UInt32 { UInt32(32 - (count &- 1).leadingZeroBitCount) }

  /// Leaf 1, EBX: the initial APIC identifier, the identifiers reserved for the package, and CLFLUSH's 8 quadwords.
  var leaf1EBX: UInt32 { identifier << 24 | min(1 << coreBits, 255) << 16 | 8 << 8 }

  /// Leaf 4, EAX, bits 31:26: the identifiers reserved for cores, less 1.
  var leaf4Cores: UInt32 { min((1 << coreBits) &- 1, 63) << 26 }

  /// Leaf 4, EAX, bits 25:14: the identifiers that share a cache of the whole package, less 1.
  var leaf4Sharing: UInt32 { min((1 << coreBits) &- 1, 4095) << 14 }

  /// Leaf 0BH: its two levels, threads and cores.
  var levels: [CPUIDResult] {
    let threads: UInt32 = 1
    let cores: UInt32 = 2
    return [
      CPUIDResult(eax: 0, ebx: 1, ecx: threads << 8, edx: identifier),
      CPUIDResult(eax: coreBits, ebx: count, ecx: cores << 8 | 1, edx: identifier),
    ]
  }
}
