#!/usr/bin/perl
# hand_over: binds ports as root, gives up all rights, and runs a program with the ports as its descriptors 3 and on.
# Usage: hand_over.pl UID udp:ADDRESS:PORT tcp:ADDRESS:PORT ... -- PROGRAM ARGUMENT ...
use strict;
use warnings;
use Socket;
use POSIX ();

$^F = 255; # descriptors stay open over exec
my $uid = shift;
my @kept;
while (defined(my $word = shift)) {
  last if $word eq '--';
  my ($kind, $address, $port) = split /:/, $word;
  my $type = $kind eq 'udp' ? SOCK_DGRAM : SOCK_STREAM;
  socket(my $socket, PF_INET, $type, 0) or die "socket: $!\n";
  setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1) or die "setsockopt: $!\n";
  bind($socket, sockaddr_in($port, inet_aton($address))) or die "bind $word: $!\n";
  listen($socket, 64) or die "listen: $!\n" if $kind eq 'tcp';
  push @kept, $socket;
}
POSIX::setgid($uid) or die "setgid: $!\n";
$) = "$uid $uid";
POSIX::setuid($uid) or die "setuid: $!\n";
exec @ARGV or die "exec: $!\n";
