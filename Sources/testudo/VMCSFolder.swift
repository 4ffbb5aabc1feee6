import ArgumentParser
import Foundation
import Hypervisor
import Report
import VMX

/// The folder of `--dump-vmcs`: each moment's VMCSs are written as it comes.
///
/// It belongs to the thread of the run.
final class VMCSFolder: @unchecked Sendable {
  let path: String
  /// What went wrong first.
  private var failure: String?

  /// Creates the folder at `path`, if there is none, or finds out that it can be written.
  init(path: String) throws(CommandError) {
    self.path = path
    do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw Self.unwritable(path)
    }
    guard access(path, W_OK | X_OK) == 0 else { throw Self.unwritable(path) }
  }

  private static func unwritable(_ path: String) -> CommandError {
    CommandError(
      .cannotCreateOutput,
      "\(path): cannot create files for VMCS dumps here: expected a folder, or a path in a writable one")
  }

  func write(_ moment: VMCSMoment, _ set: VMCSSet) {
    var first = VMCSDump(set.vmcs01, kind: .vmcs01, capabilities: set.processor)
    first.prepared = PreparedFields(set.prepared)
    write(first, moment)
    if let vmcs12 = set.vmcs12 {
      var dump = VMCSDump(vmcs12, kind: .vmcs12, capabilities: set.offered)
      dump.address = set.vmcs12Address
      dump.physicalAddressWidth = set.physicalAddressWidth
      dump.isInIA32eMode = set.isInIA32eMode
      write(dump, moment)
    }
    if let vmcs02 = set.vmcs02 {
      write(VMCSDump(vmcs02, kind: .vmcs02, capabilities: set.processor), moment)
    }
  }

  private func write(_ dump: VMCSDump, _ moment: VMCSMoment) {
    let file = "\(path)/\(moment.name).\(dump.kind.rawValue).json"
    let text = dump.json.text(indent: 2) + "\n"
    do { try text.write(toFile: file, atomically: false, encoding: .utf8) } catch {
      if failure == nil { failure = file }
    }
  }

  /// Throws if a dump could not be written.
  func finish() throws(CommandError) {
    guard let failure else { return }
    throw CommandError(
      .outputIncomplete, "\(failure): the VMCS dump cannot be written: check its folder, or free some space")
  }
}

extension VMCSMoment {
  /// The beginning of the names of its files.
  var name: String {
    switch self {
    case .entry(let number): "entry-\(number)"
    case .exit(let number): "exit-\(number)"
    case .failure: "failure"
    case .last: "last"
    }
  }
}

extension VMCSMoment: ExpressibleByArgument {
  /// `entry:N`, `exit:N`, `failure` or `last`.
  public init?(argument: String) {
    switch argument {
    case "failure": self = .failure
    case "last": self = .last
    default:
      let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, let number = UInt64(parts[1]), number > 0, parts[1].first != "+" else {
        return nil
      }
      switch parts[0] {
      case "entry": self = .entry(number)
      case "exit": self = .exit(number)
      default: return nil
      }
    }
  }
}
