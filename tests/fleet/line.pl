# line: a slow, unsure line between two interfaces of its network namespace, until its standard input ends: what comes
# in at one goes out at the other, late, or never. In user space, because not every kernel has netem. Not a bridge.
# perl line.pl DELAY_MS JITTER_MS LOSS_PERCENT RATE_MBIT INTERFACE INTERFACE; a rate of 0 is none.
use strict;
use warnings;
use Socket qw(SOCK_RAW SOL_SOCKET);
use Time::HiRes qw(time);

# From linux/if_packet.h, linux/if_ether.h, asm-generic/socket.h and linux/sockios.h.
use constant {
  PF_PACKET => 17, SOL_PACKET => 263, PACKET_VNET_HDR => 15, PACKET_IGNORE_OUTGOING => 23, ETH_P_ALL => 3,
  SO_RCVBUFFORCE => 33, SIOCGIFINDEX => 0x8933,
};
use constant WAITING_S_MAX => 1;    # what the rate would let wait longer than this is lost
use constant BUFFER_BYTES => 1 << 26;
use constant FRAME_BYTES_MAX => 1 << 17;

my ($delay_ms, $jitter_ms, $loss_percent, $rate_mbit, @names) = @ARGV;

# Whole frames, each behind a header that says which checksum and which cutting up the kernel has put off.
sub end_at {
  my ($name) = @_;
  socket(my $end, PF_PACKET, SOCK_RAW, 0) or die "socket: $!\n";
  my $request = pack 'a16 x24', $name;
  ioctl($end, SIOCGIFINDEX, $request) or die "$name: $!\n";
  setsockopt($end, SOL_PACKET, $_, pack 'i', 1) or die "setsockopt: $!\n" for PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING;
  setsockopt($end, SOL_SOCKET, SO_RCVBUFFORCE, pack 'i', BUFFER_BYTES) or die "setsockopt: $!\n";
  bind($end, pack 'S n i x12', PF_PACKET, ETH_P_ALL, unpack 'x16 i', $request) or die "$name: $!\n";
  return $end;
}

my @ends = map { end_at($_) } @names;
my @ways = map { { in => $ends[$_], out => $ends[1 - $_], free => 0, last => 0, frames => [] } } 0, 1;

# When a frame of some bytes that is here now is there, in seconds of the clock; nothing when it is lost. In order.
sub arrival {
  my ($way, $bytes, $now) = @_;
  return if rand(100) < $loss_percent;
  my $begin = $way->{free} > $now ? $way->{free} : $now;
  return if $begin > $now + WAITING_S_MAX;
  $way->{free} = $begin + ($rate_mbit ? $bytes * 8 / ($rate_mbit * 1e6) : 0);
  my $there = $way->{free} + ($delay_ms + $jitter_ms * (rand(2) - 1)) / 1e3;
  $way->{last} = $there if $there > $way->{last};
  return $way->{last};
}

$| = 1;
print "ready\n";
while (1) {
  my $now = time;
  my @waits;
  for my $way (@ways) {
    my $frames = $way->{frames};
    # An interface that is down takes nothing: that is what the line is for.
    syswrite $way->{out}, (shift @$frames)->[1] while @$frames && $frames->[0][0] <= $now;
    push @waits, $frames->[0][0] - $now if @$frames;
  }
  my $readable = '';
  vec($readable, fileno $_, 1) = 1 for *STDIN, @ends;
  select $readable, undef, undef, (sort { $a <=> $b } @waits)[0];
  exit if vec $readable, fileno STDIN, 1;
  for my $way (@ways) {
    next unless vec $readable, fileno $way->{in}, 1;
    sysread $way->{in}, my $frame, FRAME_BYTES_MAX or next;
    my $there = arrival($way, length $frame, time) or next;
    push @{ $way->{frames} }, [$there, $frame];
  }
}
