import Trace
import VMX

/// A trace in Perfetto's protobuf format: for each virtual CPU a track per level, an exit a slice on the track of the
/// level that caused it, with what is known of it as arguments. Times are whole nanoseconds of virtual time.
///
/// Source: Perfetto, protos/perfetto/trace: trace.proto, trace_packet.proto, track_descriptor.proto, track_event.proto
/// and debug_annotation.proto, whose field numbers are below.
public struct PerfettoTrace: TraceExport {
  private enum Field {
    /// Trace.
    static let packet: UInt64 = 1
    /// TracePacket.
    static let timestamp: UInt64 = 8
    static let sequence: UInt64 = 10
    static let trackEvent: UInt64 = 11
    static let sequenceFlags: UInt64 = 13
    static let trackDescriptor: UInt64 = 60
    /// TrackDescriptor.
    static let uuid: UInt64 = 1
    static let name: UInt64 = 2
    static let process: UInt64 = 3
    static let parent: UInt64 = 5
    /// ProcessDescriptor.
    static let pid: UInt64 = 1
    static let processName: UInt64 = 6
    /// TrackEvent.
    static let annotation: UInt64 = 4
    static let type: UInt64 = 9
    static let track: UInt64 = 11
    static let category: UInt64 = 22
    static let eventName: UInt64 = 23
    /// DebugAnnotation.
    static let unsigned: UInt64 = 3
    static let text: UInt64 = 6
    static let pointer: UInt64 = 7
    static let annotationName: UInt64 = 10
  }
  private static let sliceBegin: UInt64 = 1
  private static let sliceEnd: UInt64 = 2
  private static let stateCleared: UInt64 = 1
  private static let processTrack: UInt64 = 1

  private let frequency: UInt64
  /// The processors whose tracks are described.
  private var described: Set<UInt8> = []

  /// `frequency` is the number of virtual cycles per second.
  public init(frequency: UInt64) { self.frequency = max(1, frequency) }

  public mutating func opening(_ description: TraceDescription) -> [UInt8] {
    var process = ProtobufMessage()
    process.put(Field.pid, 1)
    process.put(Field.processName, description.title)
    var track = ProtobufMessage()
    track.put(Field.uuid, Self.processTrack)
    track.put(Field.process, process)
    var packet = ProtobufMessage()
    packet.put(Field.trackDescriptor, track)
    packet.put(Field.sequence, 1)
    packet.put(Field.sequenceFlags, Self.stateCleared)
    return Self.file(packet)
  }

  public mutating func append(_ event: ExitEvent, to output: inout [UInt8]) {
    if described.insert(event.processor).inserted {
      for level in [ExitLevel.l2, .l1] { output += Self.file(Self.track(event.processor, level)) }
    }
    var begin = ProtobufMessage()
    begin.put(Field.type, Self.sliceBegin)
    begin.put(Field.track, Self.identifier(event.processor, event.from))
    begin.put(Field.category, "exit")
    begin.put(Field.eventName, "\(event.reasonName)")
    annotate(&begin, event)
    output += Self.file(packet(begin, at: event.start))
    var end = ProtobufMessage()
    end.put(Field.type, Self.sliceEnd)
    end.put(Field.track, Self.identifier(event.processor, event.from))
    output += Self.file(packet(end, at: max(event.start, event.end)))
  }

  public mutating func closing() -> [UInt8] { [] }

  private func annotate(_ message: inout ProtobufMessage, _ event: ExitEvent) {
    func annotation(_ name: String, _ field: UInt64, _ value: UInt64) -> ProtobufMessage {
      var annotation = ProtobufMessage()
      annotation.put(Field.annotationName, name)
      annotation.put(field, value)
      return annotation
    }
    var route = ProtobufMessage()
    route.put(Field.annotationName, "routedTo")
    route.put(Field.text, "\(event.routedTo.name)")
    message.put(Field.annotation, route)
    message.put(Field.annotation, annotation("rip", Field.pointer, event.rip))
    message.put(Field.annotation, annotation("qualification", Field.pointer, event.qualification))
    message.put(Field.annotation, annotation("operand", Field.pointer, event.operand))
    message.put(Field.annotation, annotation("startCycle", Field.unsigned, event.start))
    message.put(Field.annotation, annotation("cycles", Field.unsigned, event.span))
    message.put(Field.annotation, annotation("hostCycles", Field.unsigned, event.hostCycles))
    message.put(Field.annotation, annotation("instructions", Field.unsigned, event.instructions))
    if event.tree != ExitEvent.noTree {
      message.put(Field.annotation, annotation("tree", Field.unsigned, event.tree))
    }
  }

  private func packet(_ event: ProtobufMessage, at cycles: UInt64) -> ProtobufMessage {
    var packet = ProtobufMessage()
    packet.put(Field.timestamp, nanoseconds(cycles))
    packet.put(Field.trackEvent, event)
    packet.put(Field.sequence, 1)
    return packet
  }

  private static func track(_ processor: UInt8, _ level: ExitLevel) -> ProtobufMessage {
    var track = ProtobufMessage()
    track.put(Field.uuid, identifier(processor, level))
    track.put(Field.parent, processTrack)
    track.put(Field.name, "CPU \(processor): \(level.name) exits")
    var packet = ProtobufMessage()
    packet.put(Field.trackDescriptor, track)
    packet.put(Field.sequence, 1)
    return packet
  }

  private static func identifier(_ processor: UInt8, _ level: ExitLevel) -> UInt64 {
    2 + UInt64(processor) * 4 + UInt64(level.rawValue)
  }

  private func nanoseconds(_ cycles: UInt64) -> UInt64 {
    let (whole, rest) = cycles.quotientAndRemainder(dividingBy: frequency)
    return whole &* 1_000_000_000
      &+ frequency.dividingFullWidth(rest.multipliedFullWidth(by: 1_000_000_000)).quotient
  }

  private static func file(_ packet: ProtobufMessage) -> [UInt8] {
    var file = ProtobufMessage()
    file.put(Field.packet, packet)
    return file.bytes
  }
}
