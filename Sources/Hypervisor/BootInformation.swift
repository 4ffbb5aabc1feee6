/// What L1 finds in its memory when it starts: the command line and a description of the machine.
public enum BootInformation {
  /// The greatest length of a command line in bytes, its terminating zero not counted.
  public static let commandLineLimit = 2047
}
