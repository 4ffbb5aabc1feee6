import VMX
import X86

/// A selector of a new task, with the descriptor that it names, if it names one in a table.
struct TaskSegment {
  var selector = SegmentSelector(rawValue: 0)
  var descriptor: SegmentDescriptor?
  /// The linear address of the descriptor.
  var address: UInt64 = 0

  var rights: SegmentAccessRights { descriptor?.accessRights ?? .unusable }
}

/// The segments of a new task, by the parts that they play.
struct TaskSegments {
  /// ES, CS, SS, DS, FS, GS, and the LDT.
  var all: [7 of TaskSegment] = .init(repeating: TaskSegment())

  subscript(segment: GuestSegment) -> TaskSegment {
    get { all[min(Int(segment.rawValue), 6)] }
    set { all[min(Int(segment.rawValue), 6)] = newValue }
  }

  /// The privilege level of the new task.
  var privilege: UInt8 { self[.cs].selector.rpl }
}

/// A check of a new task's segments, made after its state was loaded.
struct TaskSegmentCheck {
  /// What is checked: the LDT, CS, SS, or each of the data segment registers.
  enum Subject {
    case localTable, code, stack, data

    var segments: [GuestSegment] {
      switch self {
      case .localTable: [.ldtr]
      case .code: [.cs]
      case .stack: [.ss]
      case .data: [.ds, .es, .fs, .gs]
      }
    }
  }

  let subject: Subject
  /// The exception of a segment that does not pass; its error code names the segment's selector.
  let exception: ExceptionVector
  /// Whether the segment passes in a task of a privilege level.
  let passes: (TaskSegment, UInt8) -> Bool

  init(_ subject: Subject, _ exception: ExceptionVector, _ passes: @escaping (TaskSegment, UInt8) -> Bool) {
    self.subject = subject
    self.exception = exception
    self.passes = passes
  }

  /// The checks in the order in which they are made. One about a property of a segment passes where there is no such
  /// segment, which another one is about.
  ///
  /// Source: SDM volume 3, "Exception Conditions Checked During a Task Switch".
  static var all: [TaskSegmentCheck] {
    [
      // The selector of the LDT is valid.
      TaskSegmentCheck(.localTable, .invalidTSS) { segment, _ in
        segment.selector.isNull || (!segment.selector.isLocal && segment.isLocalTable)
      },
      // The DPL of a non-conforming code segment is its RPL; that of a conforming one is no greater.
      TaskSegmentCheck(.code, .invalidTSS) { segment, _ in
        !segment.rights.isCode || segment.rights.isConforming || segment.rights.dpl == segment.selector.rpl
      },
      TaskSegmentCheck(.code, .invalidTSS) { segment, _ in
        !segment.rights.isConforming || segment.rights.dpl <= segment.selector.rpl
      },
      // The selector of the stack segment is valid, and the segment is present, with the CPL for its DPL.
      TaskSegmentCheck(.stack, .invalidTSS) { segment, _ in
        !segment.selector.isNull && segment.rights.isWritable
      },
      TaskSegmentCheck(.stack, .stackSegmentFault) { segment, _ in segment.rights.isPresent },
      TaskSegmentCheck(.stack, .invalidTSS) { segment, privilege in segment.rights.dpl == privilege },
      // The LDT is present.
      TaskSegmentCheck(.localTable, .invalidTSS) { segment, _ in
        segment.selector.isNull || segment.rights.isPresent
      },
      // The selector of the code segment is valid, and the segment is present.
      TaskSegmentCheck(.code, .invalidTSS) { segment, _ in !segment.selector.isNull && segment.rights.isCode
      },
      TaskSegmentCheck(.code, .segmentNotPresent) { segment, _ in segment.rights.isPresent },
      // The DPL of the stack segment is its RPL.
      TaskSegmentCheck(.stack, .invalidTSS) { segment, _ in segment.rights.dpl == segment.selector.rpl },
      // The selectors of the data segments are valid, the segments readable, present, and not too privileged.
      TaskSegmentCheck(.data, .invalidTSS) { segment, _ in
        segment.selector.isNull || segment.rights.isCodeOrData
      },
      TaskSegmentCheck(.data, .invalidTSS) { segment, _ in
        segment.selector.isNull || segment.rights.isReadable
      },
      TaskSegmentCheck(.data, .segmentNotPresent) { segment, _ in
        segment.selector.isNull || segment.rights.isPresent
      },
      TaskSegmentCheck(.data, .invalidTSS) { segment, privilege in
        segment.selector.isNull || segment.rights.isConforming || segment.rights.dpl >= privilege
      },
    ]
  }
}

extension TaskSegment {
  fileprivate var isLocalTable: Bool {
    guard let descriptor else { return false }
    return GateDescriptor(lower: descriptor.rawValue).type == .ldt
  }
}
