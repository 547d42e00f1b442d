# A server on loopback that misbehaves by order: each path of the URL is one way to do so. Plain or TLS, one process for each
# connection, every request written to a log. For tests of the transport and of what stands on it.
package FaultServer;
use strict;
use warnings;
use IO::Socket::INET;
use IO::Compress::Gzip qw(gzip);
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep);

# new(dir => folder for the log [, tls => {cert => file, key => file}] [, mute => 1: accepts and says nothing, or what say has])
sub new {
	my ($class, %option) = @_;
	my $listen = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "no socket: $!";
	my $self = bless { port => $listen->sockport, log => "$option{dir}/requests." . $listen->sockport, owner => $$ }, $class;
	open my $log, '>', $self->{log} or die $!;
	close $log;
	require IO::Socket::SSL if $option{tls};
	$self->{pid} = fork // die $!;
	return $self if $self->{pid};
	POSIX::setpgid(0, 0); # children go with it
	$SIG{CHLD} = 'IGNORE';
	$SIG{TERM} = 'DEFAULT';
	while (1) {
		my $socket = $listen->accept or next;
		next if fork;
		$SIG{PIPE} = 'IGNORE';
		eval { serve($self, $socket, %option) };
		POSIX::_exit(0);
	}
}

sub stop {
	my $self = shift;
	return if !$self->{pid} || $self->{owner} != $$;
	kill 'TERM', -$self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = 0;
}
sub DESTROY { my $status = $?; $_[0]->stop; $? = $status }

# What came: requests with their headers, and lines "connection" for each socket that was accepted.
sub requests {
	my $self = shift;
	open my $log, '<', $self->{log} or die $!;
	local $/;
	return <$log> // '';
}

sub note_down {
	my ($self, $text) = @_;
	open my $log, '>>', $self->{log} or return;
	syswrite $log, $text;
}

sub serve {
	my ($self, $socket, %option) = @_;
	$self->note_down("connection\n");
	put($socket, $option{say}) if $option{say};
	sleep 60 if $option{mute};
	if ($option{tls}) {
		IO::Socket::SSL->start_SSL($socket, SSL_server => 1, SSL_cert_file => $option{tls}{cert}, SSL_key_file => $option{tls}{key},
			SSL_version => $option{tls}{version} // 'SSLv23:!SSLv3:!SSLv2', SSL_cipher_list => $option{tls}{ciphers} // 'DEFAULT') or return;
	}
	binmode $socket;
	$socket->autoflush(1);
	my $served = 0;
	while (1) {
		my ($head, $byte) = ('');
		while ($head !~ /\r\n\r\n\z/) {
			$socket->sysread($byte, 1) or return;
			$head .= $byte;
		}
		my $body = '';
		if ($head =~ /^content-length: *(\d+)/mi) {
			while (length $body < $1) { $socket->sysread($byte, $1 - length $body) or return; $body .= $byte }
		}
		$self->note_down("$head$body\n--\n");
		my ($method, $path, $query) = $head =~ m{^(\w+) (/[^ ?]*)(?:\?(\S*))? HTTP} or return;
		my %arg = map { my ($k, $v) = split /=/, $_, 2; ($k, unescape($v // '')) } split /&/, $query // '';
		return if $path eq '/second-closes' && $served++; # took it and says nothing
		answer($self, $socket, $path, \%arg, $method, $head, $body) or return;
	}
}

sub unescape { my $s = shift; $s =~ s/%([0-9a-f]{2})/chr hex $1/gei; return $s }

sub put { my ($socket, $text) = @_; my $at = 0; while ($at < length $text) { $at += $socket->syswrite($text, 65536, $at) // return 0 } return 1 }

# A whole answer; true: the connection goes on.
sub whole {
	my ($socket, $body, $more, $status) = @_;
	return put($socket, 'HTTP/1.1 ' . ($status // '200 OK') . "\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n" . ($more // '') . "\r\n$body");
}

# Closes so that the other side gets a reset.
sub reset_connection {
	my $socket = shift;
	setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	POSIX::close(fileno $socket);
	POSIX::_exit(0);
}

# Bytes that break text: half a character, NUL, control characters, a mark of byte order.
sub broken_bytes { return "\x{ef}\x{bb}\x{bf}{\"a\":\"\x{e5}\x{bc}\x22\x{00}\x{01}\x{1f}\x{ff}\x{7f}\"}" }

# Text that only the server says: who has it in memory got it from here.
sub marker { return 'mark' . 'ed' x 4 . 'by-the-server' }

sub packed { my $plain = shift; my $out; gzip(\$plain => \$out, -Level => 9) or die; return $out }

# An answer with some of its bytes changed, doubled, taken out or cut off; the same for the same seed.
sub random_answer {
	srand shift;
	my @whole = ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: text/plain\r\n\r\nhello world",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n",
		"HTTP/1.0 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " . length(packed('x' x 500)) . "\r\n\r\n" . packed('x' x 500));
	my $text = $whole[ rand @whole ];
	for (1 .. 1 + rand 4) {
		my ($at, $len, $how) = (int rand length $text, 1 + int rand 6, int rand 5);
		last if !length $text;
		substr($text, $at, 1) = chr int rand 256 if $how == 0;
		substr($text, $at, $len) = '' if $how == 1;
		substr($text, $at, 0) = substr $text, int rand length $text, $len if $how == 2;
		substr($text, $at, 0) = ("\r\n", "\0", ': ', ' ', '9' x 30, 'gzip', 'y' x 5000, "\xff")[ rand 8 ] if $how == 3;
		substr($text, $at) = '' if $how == 4 && rand() < 0.3;
	}
	return $text;
}

sub answer {
	my ($self, $socket, $path, $arg, $method, $head, $body) = @_;
	return whole($socket, '{"ok":true}') if $path eq '/ok' || $path eq '/second-closes';
	return whole($socket, "$head$body") if $path eq '/echo';
	return whole($socket, '{"errcode":0}', '', $arg->{n}) if $path eq '/status';
	return whole($socket, $body) if $path eq '/back';
	return put($socket, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n") if $path eq '/head';
	sleep(($arg->{ms} // 60000) / 1000), return whole($socket, '{"late":true}') if $path eq '/hang';
	put($socket, "HTTP/1.1 200 OK\r\nContent-Ty"), sleep 60 if $path eq '/hang-headers';
	put($socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"half\":"), sleep 60 if $path eq '/hang-body';
	if ($path eq '/drip') {
		put($socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
		for (1 .. 1000) { put($socket, 'x'); sleep 0.2 }
	}
	reset_connection($socket) if $path eq '/reset';
	put($socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"), sleep 0.3, reset_connection($socket) if $path eq '/reset-body';
	return 0 if $path eq '/close';
	put($socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nerror-code: 42001\r\n\r\nhalf"), return 0 if $path eq '/truncate';
	put($socket, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" . marker() x 1000), return 0 if $path eq '/marked';
	put($socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n20\r\nhalf"), return 0 if $path eq '/truncate-chunk';
	put($socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), return 0 if $path eq '/truncate-chunks';
	return put($socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n") if $path eq '/chunks';
	return put($socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n") if $path eq '/bad-chunks';
	return put($socket, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged") if $path eq '/more-than-length';
	put($socket, "HTTP/1.1 200 OK\r\n\r\nno length"), return 0 if $path eq '/no-length';
	return whole($socket, broken_bytes()) if $path eq '/bytes';
	return put($socket, "HTTP/1.1 200 OK\r\nContent-Length: " . ($arg->{n} // 1e9) . "\r\n\r\n" . 'x' x 1000) if $path eq '/huge-length';
	if ($path eq '/huge') { # without saying how much
		put($socket, "HTTP/1.1 200 OK\r\n\r\n");
		for (1 .. $arg->{mb}) { put($socket, 'x' x 1048576) or return 0 }
		return 0;
	}
	return whole($socket, packed('{"packed":"' . 'a' x ($arg->{n} // 20) . '"}'), "Content-Encoding: gzip\r\n") if $path eq '/gzip';
	return whole($socket, packed('{"a":') . packed('1}'), "Content-Encoding: gzip\r\n") if $path eq '/gzip-two';
	return whole($socket, packed("\0" x (1048576 * $arg->{mb})), "Content-Encoding: gzip\r\n") if $path eq '/gzip-bomb';
	return whole($socket, substr(packed('{"packed":true}' x 100), 0, 30), "Content-Encoding: gzip\r\n") if $path eq '/gzip-cut';
	return whole($socket, substr(packed('{"packed":true}'), 0, -8) . "\0" x 8, "Content-Encoding: gzip\r\n") if $path eq '/gzip-sum';
	return whole($socket, 'this is not packed', "Content-Encoding: gzip\r\n") if $path eq '/gzip-not';
	return whole($socket, packed('layers'), "Content-Encoding: gzip, gzip\r\n") if $path eq '/gzip-layers';
	return whole($socket, 'xx', "Content-Encoding: br\r\n") if $path eq '/brotli';
	return whole($socket, '{}', join '', map { "X-Long-$_: " . 'y' x 1000 . "\r\n" } 1 .. $arg->{n}) if $path eq '/headers';
	return whole($socket, '{}', "X-Bytes: a\x{ff}b\x{01}c\x{e5}\x{bc}\x{a0}\r\nX-Echo: $arg->{token}!\r\nError-Code: 42001\r\nX-Two: 1\r\nx-two: 2\r\n") if $path eq '/odd-headers';
	return put($socket, "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" x 3) && whole($socket, '{"after":100}') if $path eq '/continue';
	put($socket, "SSH-2.0-OpenSSH_9.2\r\n"), return 0 if $path eq '/not-http';
	return whole($socket, '', "Location: $arg->{to}\r\n", $arg->{status} // '302 Found') if $path eq '/redirect';
	return whole($socket, '', "Location: /loop\r\n", '302 Found') if $path eq '/loop';
	put($socket, random_answer($arg->{seed})), return 0 if $path eq '/random';
	return whole($socket, '{"error":"no such path"}', '', '404 Not Found');
}

# A listener whose queue is full, so that who connects waits: (socket, port, the sockets that fill it).
sub full_queue {
	my $listen = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
	listen $listen, 0;
	my @fill;
	for (1 .. 4) {
		my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listen->sockport, Timeout => 1, Blocking => 0);
		push @fill, $socket if $socket;
	}
	return ($listen, $listen->sockport, \@fill);
}

1;
