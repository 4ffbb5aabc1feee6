import Testing
import X86

@Suite struct SegmentTests {
  @Test func flat64BitCodeSegment() {
    let descriptor = SegmentDescriptor(rawValue: 0x00AF_9B00_0000_FFFF)
    #expect(descriptor.base == 0 && descriptor.limit == 0xFFFF_FFFF)
    let rights = descriptor.accessRights
    #expect(rights.rawValue == 0xA09B)
    #expect(rights.isCode && rights.isLong && rights.isGranular && rights.isPresent && rights.isAccessed)
    #expect(!rights.isBig && rights.dpl == 0 && rights.type == 11 && rights.isReadable && !rights.isWritable)
  }

  @Test func everyFieldOfADescriptorSurvives() {
    let rights = SegmentAccessRights(type: 3, isCodeOrData: true, dpl: 3, isBig: true)
    let descriptor = SegmentDescriptor(base: 0x1234_5678, limit: 0xA_BCDE, accessRights: rights)
    #expect(descriptor.rawValue == 0x124A_F334_5678_BCDE)
    #expect(
      descriptor.base == 0x1234_5678 && descriptor.limit == 0xA_BCDE && descriptor.accessRights == rights)
    #expect(rights.isData && rights.isWritable && !rights.isExpandDown && rights.dpl == 3)
    #expect(descriptor.base(upper: 0xFFFF_8000) == 0xFFFF_8000_1234_5678)
    let granular = SegmentAccessRights(type: 3, isCodeOrData: true, isGranular: true)
    #expect(SegmentDescriptor(base: 0, limit: 0xFFFF_FFFF, accessRights: granular).limit == 0xFFFF_FFFF)
  }

  @Test func typesOfCodeAndData() {
    #expect(SegmentAccessRights(type: 13, isCodeOrData: true).isConforming)
    #expect(!SegmentAccessRights(type: 9, isCodeOrData: true).isReadable)
    #expect(SegmentAccessRights(type: 7, isCodeOrData: true).isExpandDown)
    #expect(!SegmentAccessRights(type: 11, isCodeOrData: false).isCode)
    #expect(SegmentAccessRights.unusable.isUnusable)
  }

  @Test func selectorParts() {
    let selector = SegmentSelector(rawValue: 0x2F)
    #expect(selector.rpl == 3 && selector.isLocal && selector.offset == 0x28 && !selector.isNull)
    #expect(SegmentSelector(rawValue: 3).isNull && !SegmentSelector(rawValue: 4).isNull)
  }

  @Test func interruptGateOfIA32eMode() {
    let gate = GateDescriptor(lower: 0x8765_EE05_0010_4321, upper: 0xFFFF_8000)
    #expect(gate.offset == 0xFFFF_8000_8765_4321 && gate.selector.rawValue == 0x10 && gate.stackTable == 5)
    #expect(gate.type == .interruptGate32 && gate.dpl == 3 && gate.isPresent)
    #expect(GateDescriptor(lower: 0x0000_9E00_0000_0000).type == nil)
    #expect(GateDescriptor(lower: 0x0000_8D00_0000_0000).type == nil)
  }

  @Test func pagingEntryBits() {
    let entry = PagingEntry(rawValue: 0x8800_0123_4567_81E7)
    #expect(entry.isPresent && entry.isWritable && entry.isUser && entry.isAccessed && entry.isDirty)
    #expect(entry.mapsPage && entry.isGlobal && entry.isExecuteDisabled)
    #expect(entry.address == 0x0000_0123_4567_8000 && entry.protectionKey == 1)
  }
}
