import Foundation
import KVMProcessor
import Testing

/// Runs that cannot be stopped, since something outside of Testudo keeps them.
@Suite(.serialized) struct AbandonTests {
  /// What `testudo` says of it, 10 seconds after it was to stop.
  private func expectAbandoned(_ result: CommandResult) {
    #expect(result.status == 124)
    #expect(result.errorLines.last?.hasSuffix("it is abandoned, and not counted") == true, "\(result.errors)")
    #expect(!result.output.contains("guest instructions"), "nothing is counted: \(result.output)")
  }

  @Test func aRunThatAReaderKeepsIsAbandoned() throws {
    try TemporaryFolder.with { folder in
      // A pipe that somebody has open and nobody reads.
      let result = try Command.shell(
        "mkfifo pipe && exec 3<>pipe && \"$0\" run minimal --iterations 100000000 --trace pipe --timeout 1",
        in: folder)
      expectAbandoned(result)
    }
  }

  /// KVM's ioctls, of which KVM_RUN does not return any more when the guest has begun, whatever signals come.
  private static let heldKVM = """
    #include <linux/kvm.h>
    #include <stdarg.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    long syscall(long, ...);
    int ioctl(int file, unsigned long request, ...) {
      static int runs;
      va_list arguments;
      va_start(arguments, request);
      long argument = va_arg(arguments, long);
      va_end(arguments);
      /* More than the calibration has. */
      if (request == KVM_RUN && ++runs > 2000) for (;;) pause();
      return (int)syscall(SYS_ioctl, file, request, argument);
    }
    """

  @Test(
    .enabled(if: hasKVM, "the KVM processor cannot be made on this host"),
    .enabled(if: hasClang, "there is no clang on the PATH, which builds a KVM that does not return"))
  func aRunThatKVMKeepsIsAbandoned() throws {
    try TemporaryFolder.with { folder in
      try Data(Self.heldKVM.utf8).write(to: folder.appendingPathComponent("held.c"))
      let result = try Command.shell(
        "clang -shared -fPIC -fuse-ld=lld -o held.so held.c && "
          + "LD_PRELOAD=./held.so \"$0\" run minimal --processor kvm --lending all --iterations 100000000 --timeout 1",
        in: folder)
      expectAbandoned(result)
    }
  }

  private static let hasKVM: Bool = {
    guard let calibration = try? KVMCalibration.measured() else { return false }
    return calibration.obstacle(to: .patched) == nil
  }()

  private static let hasClang = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    .contains { FileManager.default.isExecutableFile(atPath: "\($0)/clang") }
}
