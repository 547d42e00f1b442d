# A vendor on loopback, by HTTPS or HTTP: WeCom, some of WeChat, and a shop with a REST API. Its people and figures follow from
# numbers alone, so that a test knows each record; its faults come by rules that a test sets. One process, one loop: counts are exact.
package MockVendor;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256_hex sha256_hex);
use Encode qw(encode_utf8);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);
use MockVendorData;

our $json = JSON::PP->new->canonical->allow_nonref;    # texts of characters
our $wire = JSON::PP->new->canonical->allow_nonref->utf8; # bytes

# What a mock begins with; set() changes it while it runs.
sub defaults {
	return (
		%{ MockVendorData::defaults() },
		corpid => 'ww' . '0' x 16, secret => 'MOCKSECRET' . '5e' x 12, # of the app; what else comes is 40001, 40013
		ttl => 7200,         # seconds that a token is said to hold
		life => 7200,        # and does
		delay_ms => 0,       # of every answer
		token_delay_ms => 0, # of every token
		limit => 0,          # calls to a path within limit_s seconds; the next is 45009, and so are all for limit_block_s
		limit_s => 60, limit_block_s => 60,
		refresh => 'MOCKREFRESHaa', refresh_turns => 0, # OAuth: the refresh token that serves, and whether each token brings a new one
		skew_s => 0,         # the clock of its Date header is so much ahead
		ip => '',            # 60020: the address is not on the list, this one is told
		cursors => 1,        # another number: what was handed out as a cursor that expires is no cursor any more
		dirty => 0,          # raw control characters, a byte order mark, half a surrogate pair in bodies
		text_code => 0,      # errcode as text
	);
}

# new(dir => folder for certificate and log [, plain => 1] [, any of the above]). Dies without IO::Socket::SSL unless plain.
sub new {
	my ($class, %option) = @_;
	my ($dir, $plain) = delete @option{qw(dir plain)};
	my $self = bless { dir => $dir, plain => $plain, owner => $$, set => { defaults(), %option } }, $class;
	$self->certificate if !$plain;
	for my $name (qw(port control)) {
		$self->{"listen_$name"} = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "no socket: $!";
		$self->{$name} = $self->{"listen_$name"}->sockport;
	}
	$self->{base} = ($plain ? 'http' : 'https') . "://127.0.0.1:$self->{port}";
	$self->{pid} = fork // die $!;
	if ($self->{pid}) {
		close delete $self->{"listen_$_"} for qw(port control);
		return $self;
	}
	$SIG{TERM} = $SIG{INT} = 'DEFAULT';
	$SIG{PIPE} = $SIG{CHLD} = 'IGNORE';
	eval { $self->run; 1 } or warn "mock vendor: $@";
	POSIX::_exit(1);
}

sub stop {
	my $self = shift;
	return if !$self->{pid} || $self->{owner} != $$;
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = 0;
}
sub DESTROY { my $status = $?; $_[0]->stop; $? = $status }

# An authority and a certificate for 127.0.0.1 and localhost, made once a folder: {ca}, {cert}, {key}.
sub certificate {
	my $self = shift;
	require IO::Socket::SSL;
	require IO::Socket::SSL::Utils;
	@$self{qw(ca cert key)} = map { "$self->{dir}/mock_$_" } qw(ca.crt server.crt server.key);
	return if -e $self->{key};
	my %valid = (not_before => time - 86400, not_after => time + 30 * 86400, digest => 'sha256');
	my @ca = IO::Socket::SSL::Utils::CERT_create(%valid, CA => 1, subject => { commonName => 'Authority of the mock vendor' });
	my @own = IO::Socket::SSL::Utils::CERT_create(%valid, issuer => \@ca, subject => { commonName => 'mock vendor' }, purpose => 'server',
		subjectAltNames => [ [ IP => '127.0.0.1' ], [ DNS => 'localhost' ] ]);
	IO::Socket::SSL::Utils::PEM_cert2file($ca[0], $self->{ca});
	IO::Socket::SSL::Utils::PEM_cert2file($own[0], $self->{cert});
	IO::Socket::SSL::Utils::PEM_key2file($own[1], $self->{key});
}

# ---- for the test

# One request to the control port; what it answers.
sub ask {
	my ($self, $path, $body) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{control}) or die "the mock vendor is gone: $!";
	my $text = $wire->encode($body // {});
	print $socket "POST $path HTTP/1.1\r\nContent-Length: " . length($text) . "\r\nConnection: close\r\n\r\n$text";
	local $/;
	my ($answer) = <$socket> =~ /\r\n\r\n(.*)\z/s or die 'the mock vendor says nothing';
	return $wire->decode($answer);
}

# Values of defaults(), changed from now on.
sub set { my ($self, %value) = @_; $self->{set}{$_} = $value{$_} for keys %value; return $self->ask('/set', \%value) }

# A fault. When: path (exact), has (text within target or body), skip (so many let through first), times (1; 0: for ever). What, one or several:
#   code [, message]      errcode with HTTP 200             status [, headers, body]   an answer of HTTP
#   raw                   bytes as hex, in place of a body   delay_ms                   the answer comes later
#   stall 1               never                              close 1, reset 1           no answer
#   truncate 1, half 1    half of it; half: and no end       redirect                   302 to there
#   expire 1              all tokens are expired first       zero 1, late 1             figures are 0, is_delay is true
#   echo 1                the answer repeats token and target
sub rule { my ($self, %rule) = @_; return $self->ask('/rule', \%rule) }

# Forgets rules, log, counts and limits; tokens too with tokens => 1.
sub forget { my ($self, %what) = @_; return $self->ask('/forget', \%what) }

# Every request so far, in order: {n, at, method, path, target, query, headers, body, code, status, rule}.
sub log { return @{ $_[0]->ask('/log') } }
# How many asked a path.
sub calls { my ($self, $path) = @_; return $self->ask('/state')->{calls}{$path} // 0 }
# {calls: {path: n}, tokens: [every token that was handed out], connections, open, waiting: requests that have no answer yet}
sub state { return $_[0]->ask('/state') }

# Waits until a test of the state is true; dies after some seconds.
sub until_state {
	my ($self, $true, $seconds) = @_;
	my $end = time + ($seconds // 20);
	until ($true->($self->state)) { die 'the mock vendor was not asked' if time > $end; Time::HiRes::sleep(0.01) }
}

# Settings of a server that let it reach these mocks, as lines of postgresql.conf.
sub conf {
	my @all = @_;
	my ($ca) = map { $_->{ca} // () } @all;
	return "cdp.allowed_private_ranges = '127.0.0.0/8'\ncdp.allowed_hosts = '" . join(', ', map { $_->{plain} ? $_->{base} : "127.0.0.1:$_->{port}" } @all) . "'\n" . ($ca ? "cdp.ca_file = '$ca'\n" : '');
}

# SQL that makes a source and a connection of this name to the mock, with its secrets, and lets it into the state shadow by a test that is
# written down as passed. product: rest, or a built-in connector; streams: only these (with those that they come from), without callbacks; auth: for rest.
sub connect_sql {
	my ($self, $name, %option) = @_;
	my $product = $option{product} // 'wecom';
	my $own = $option{connector} // "mock_$product" . ($option{auth} ? "_$option{auth}" : '');
	my $manifest = $product eq 'rest' ? quote($json->encode(MockVendorData::rest_manifest($option{auth} // 'header'))) . '::jsonb' : "cdp_internal.connector_manifest('$product')";
	my $streams = $option{streams} ? "(SELECT jsonb_object_agg(s.key, s.value #- '{touchpoint,origin,campaign,known}') FROM jsonb_each(m -> 'streams') s WHERE s.key = ANY (" . quote('{' . join(',', @{ $option{streams} }) . '}') . "::text[]))" : "m -> 'streams'";
	my $change = $json->encode({ connector => $own, base_url => $self->{base}, %{ $option{change} // {} } });
	my %config = $product eq 'rest' ? () : $product eq 'wecom' ? (corpid => $self->{set}{corpid}) : (appid => $self->{set}{corpid});
	my %secret = $product eq 'rest' ? %{ MockVendorData::rest_secrets($self->{set}{secret}, $option{auth} // 'header') } : $product eq 'wecom' ? (corpsecret => $self->{set}{secret}) : (appsecret => $self->{set}{secret});
	%config = (%config, %{ $option{config} // {} });
	%secret = (%secret, %{ $option{secrets} // {} });
	my $checks = join ",\n", map { "('$_')" } qw(connector config secrets host address tls auth permission sample clock quota);
	return "SELECT cdp.add_source(" . quote($name) . ");\n"
		. "SELECT cdp.add_connector(m" . ($option{streams} ? " - 'callback'" : '') . " || " . quote($change) . "::jsonb || jsonb_build_object('streams', $streams)) FROM (SELECT $manifest AS m) x;\n"
		. "SELECT cdp.create_connection(" . quote($name) . ", " . quote($own) . ", " . quote($json->encode(\%config)) . ($self->{plain} ? ', allow_http => true' : '') . ");\n"
		. join('', map { "SELECT cdp.set_secret(" . quote($name) . ", '$_', " . quote($secret{$_}) . ");\n" } sort keys %secret)
		. ($option{draft} ? '' : "WITH t AS MATERIALIZED (SELECT cdp_internal.begin_connection_test(connection_id) AS id FROM cdp_data.connection WHERE name = " . quote($name) . ")\n"
			. "SELECT count(*) FROM t, LATERAL (SELECT cdp_internal.record_connection_check(t.id, k.k, 'ok') FROM (VALUES $checks) k (k)) r;\n"
			. "SELECT cdp_internal.end_connection_test(max(test_id)) FROM cdp_data.connection_test;\n"
			. "SELECT cdp.start_shadow(" . quote($name) . ");\n");
}
sub quote { my $text = shift; $text =~ s/'/''/g; return "'$text'" }

# ---- the server

sub run {
	my $self = shift;
	my ($in, $out) = (IO::Select->new(@$self{qw(listen_port listen_control)}), IO::Select->new);
	@$self{qw(in out open later rules log calls tokens token handed limits)} = ($in, $out, {}, [], [], [], {}, [], {}, {}, {});
	while (getppid == $self->{owner}) { # a test that was killed takes it along
		my $wait = @{ $self->{later} } ? $self->{later}[0][0] - time : 5;
		my ($readable, $writable) = IO::Select->select($in, $out, undef, $wait > 0 ? $wait : 0);
		for my $socket (@{ $readable // [] }) {
			if ($socket == $self->{listen_port} || $socket == $self->{listen_control}) { $self->welcome($socket) }
			elsif (my $c = $self->{open}{ fileno $socket }) { $self->hear($c) }
		}
		for my $socket (@{ $writable // [] }) { my $c = $self->{open}{ fileno $socket // -1 } or next; $c->{greeting} ? $self->hear($c) : $self->say($c) }
		while (@{ $self->{later} } && $self->{later}[0][0] <= time) {
			my (undef, $c, $text) = @{ shift @{ $self->{later} } };
			next if $c->{gone};
			$c->{out} .= $text;
			$c->{waiting} = 0;
			$self->say($c);
		}
	}
}

sub welcome {
	my ($self, $listen) = @_;
	my $socket = $listen->accept or return;
	$socket->blocking(0);
	setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
	my $c = { socket => $socket, in => '', out => '', control => $listen == $self->{listen_control} };
	if (!$c->{control}) {
		$self->{connections}++;
		if (!$self->{plain}) {
			IO::Socket::SSL->start_SSL($socket, SSL_server => 1, SSL_startHandshake => 0, SSL_cert_file => $self->{cert}, SSL_key_file => $self->{key}) or return;
			$c->{greeting} = 1;
		}
	}
	$self->{open}{ fileno $socket } = $c;
	$self->{in}->add($socket);
}

sub farewell {
	my ($self, $c, @how) = @_;
	return if $c->{gone}++;
	$self->{in}->remove($c->{socket});
	$self->{out}->remove($c->{socket});
	delete $self->{open}{ fileno $c->{socket} };
	$self->{plain} || $c->{control} ? close $c->{socket} : $c->{socket}->close(@how);
}

# Reads what there is; each whole request is answered, at once or later.
sub hear {
	my ($self, $c) = @_;
	if ($c->{greeting}) {
		if (!$c->{socket}->accept_SSL) {
			return $self->farewell($c) if $IO::Socket::SSL::SSL_ERROR != IO::Socket::SSL::SSL_WANT_READ() && $IO::Socket::SSL::SSL_ERROR != IO::Socket::SSL::SSL_WANT_WRITE();
			$IO::Socket::SSL::SSL_ERROR == IO::Socket::SSL::SSL_WANT_WRITE() ? $self->{out}->add($c->{socket}) : $self->{out}->remove($c->{socket});
			return;
		}
		$c->{greeting} = 0;
		$self->{out}->remove($c->{socket});
	}
	while (1) {
		my $got = sysread $c->{socket}, $c->{in}, 65536, length $c->{in};
		if (!defined $got) {
			last if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
			return $self->farewell($c);
		}
		return $self->farewell($c) if $got == 0;
	}
	while ($c->{in} =~ /\r\n\r\n/) {
		my $head = substr $c->{in}, 0, $+[0];
		my $length = $head =~ /^content-length: *(\d+)/mi ? $1 : 0;
		last if length $c->{in} < length($head) + $length;
		my $body = substr $c->{in}, length $head, $length;
		substr($c->{in}, 0, length($head) + $length) = '';
		my ($method, $target) = $head =~ m{^(\w+) (\S+) HTTP} or return $self->farewell($c);
		my ($path, $query) = split /\?/, $target, 2;
		my %query = map { my ($k, $v) = split /=/, $_, 2; ($k, unescape($v // '')) } split /&/, $query // '';
		my %header = map { lc($_->[0]) => $_->[1] } map { [ /^([^:\r\n]+): *(.*?) *\r?$/ ] } grep { /^[^:\r\n]+:/ } split /\n/, $head;
		$c->{control} ? $self->obey($c, $path, $body) : $self->answer($c, { method => $method, target => $target, path => $path, query => \%query, raw_query => $query // '', headers => \%header, body => $body });
		return if $c->{gone};
	}
}

sub unescape { my $s = shift; $s =~ tr/+/ /; $s =~ s/%([0-9a-f]{2})/chr hex $1/gei; return $s }

sub say {
	my ($self, $c) = @_;
	while (length $c->{out}) {
		my $put = syswrite $c->{socket}, $c->{out}, 65536;
		if (!defined $put) {
			return $self->{out}->add($c->{socket}) if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
			return $self->farewell($c);
		}
		substr($c->{out}, 0, $put) = '';
	}
	$self->{out}->remove($c->{socket});
	$self->farewell($c) if $c->{last};
}

# Orders of the test.
sub obey {
	my ($self, $c, $path, $body) = @_;
	my $order = $wire->decode($body || '{}');
	my $answer = {};
	if ($path eq '/set') { $self->{set}{$_} = $order->{$_} for keys %$order }
	elsif ($path eq '/rule') { push @{ $self->{rules} }, { times => 1, skip => 0, %$order, number => scalar @{ $self->{rules} } } }
	elsif ($path eq '/log') { $answer = $self->{log} }
	elsif ($path eq '/forget') {
		@$self{qw(rules log calls limits)} = ([], [], {}, {});
		@$self{qw(token handed)} = ({}, {}) if $order->{tokens};
	}
	elsif ($path eq '/state') {
		$answer = { refresh => $self->{set}{refresh}, calls => $self->{calls}, tokens => $self->{tokens}, connections => $self->{connections} // 0,
			open => scalar(grep { !$_->{control} } values %{ $self->{open} }), waiting => scalar(grep { $_->{waiting} } values %{ $self->{open} }) };
	}
	my $text = $wire->encode($answer);
	$c->{out} .= "HTTP/1.1 200 OK\r\nContent-Length: " . length($text) . "\r\n\r\n$text";
	$c->{last} = 1;
	$self->say($c);
}

# Which rule this request meets, if any; counts it.
sub met {
	my ($self, $request) = @_;
	for my $rule (@{ $self->{rules} }) {
		next if defined $rule->{path} && $rule->{path} ne $request->{path};
		next if defined $rule->{has} && index("$request->{target}\n$request->{body}", encode_utf8($rule->{has})) < 0;
		next if defined $rule->{left} && $rule->{left} == 0;
		next if $rule->{skip} && $rule->{skip}-- > 0;
		$rule->{left} //= $rule->{times} || -1;
		$rule->{left}-- if $rule->{left} > 0;
		return $rule;
	}
	return {};
}

sub answer {
	my ($self, $c, $request) = @_;
	my $rule = $self->met($request);
	my $set = $self->{set};
	my $number = ++$self->{number};
	$self->{calls}{ $request->{path} }++;
	$self->{token} = {} if $rule->{expire};
	my ($status, $headers, $body) = ('200 OK', {});
	if (defined $rule->{code}) { $body = $self->failed($rule->{code}, $rule->{message} // 'by order') }
	elsif (defined $rule->{redirect}) { ($status, $headers, $body) = ('302 Found', { Location => $rule->{redirect}, 'Set-Cookie' => 'session=MOCKTOKENinacookie' }, '') }
	elsif (defined $rule->{raw}) { $body = pack 'H*', $rule->{raw} }
	elsif (defined $rule->{status}) { ($status, $headers, $body) = ("$rule->{status} By order", $rule->{headers} // {}, encode_utf8($rule->{body} // '')) }
	else { ($body, my $more) = $self->vendor($request, $rule); $status = $more->{status} // $status; $headers = $more->{headers} // {} }
	push @{ $self->{log} }, { n => $number, at => time, (map { $_ => $request->{$_} } qw(method target path query headers)), body => Encode::decode('UTF-8', $request->{body}), status => substr($status, 0, 3) + 0,
		code => $body =~ /^\W*"errcode":"?(-?\d+)/ ? $1 + 0 : undef, rule => $rule->{number} } if !$set->{no_log};
	$body = substr($body, 0, -1) . ',"echo":' . $wire->encode(join ' ', $request->{target}, $request->{headers}{authorization} // '', $request->{body}) . '}' if $rule->{echo} && $body =~ /\}\z/;
	return $self->farewell($c) if $rule->{close};
	if ($rule->{reset}) {
		setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
		return $self->farewell($c, SSL_no_shutdown => 1);
	}
	my $date = POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $set->{skew_s}));
	my $text = "HTTP/1.1 $status\r\nDate: $date\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: " . length($body) . "\r\n"
		. join('', map { "$_: $headers->{$_}\r\n" } sort keys %$headers) . "\r\n$body";
	if ($rule->{truncate}) { $text = substr $text, 0, length($text) - int(length($body) / 2); $c->{last} = 1 }
	$c->{waiting} = 1;
	if ($rule->{half}) { $c->{out} .= substr $text, 0, length($text) - int(length($body) / 2) - 1; return $self->say($c) }
	return if $rule->{stall};
	my $delay = $rule->{delay_ms} // ($request->{path} =~ /token$/ ? $set->{token_delay_ms} : $set->{delay_ms});
	my $at = time + $delay / 1000;
	if ($delay) {
		my $later = $self->{later};
		my $place = @$later;
		$place-- while $place > 0 && $later->[ $place - 1 ][0] > $at;
		splice @$later, $place, 0, [ $at, $c, $text ];
		return;
	}
	$c->{waiting} = 0;
	$c->{out} .= $text;
	$self->say($c);
}

# ---- the vendor

sub failed {
	my ($self, $code, $message) = @_;
	$code = $self->{set}{text_code} || $code !~ /^-?\d+$/ ? qq("$code") : $code;
	return qq({"errcode":$code,"errmsg":) . $wire->encode("$message, hint: [1771234567_11], from ip: " . ($self->{set}{ip} || '127.0.0.1')) . '}';
}

# A token of an app: the one that holds, else a new one.
sub token_of {
	my ($self, $app) = @_;
	my $now = $self->{token}{$app};
	return $now->{text} if $now && $now->{until} > time;
	my $text = 'MOCKTOKEN' . sha256_hex(join '|', $app, $$, time, scalar @{ $self->{tokens} });
	push @{ $self->{tokens} }, $text;
	$self->{handed}{$text} = $app;
	$self->{token}{$app} = { text => $text, until => time + $self->{set}{life} };
	return $text;
}
sub holds { my ($self, $text) = @_; my $app = $self->{handed}{ $text // '' }; my $now = defined $app && $self->{token}{$app}; return $now && $now->{text} eq $text && $now->{until} > time }

# More calls to a path than its limit: true for as long as it is blocked.
sub too_many {
	my ($self, $path) = @_;
	my $set = $self->{set};
	return 0 if !$set->{limit};
	my $use = $self->{limits}{$path} //= { from => time, n => 0, blocked => 0 };
	return 1 if $use->{blocked} > time;
	@$use{qw(from n)} = (time, 0) if $use->{from} + $set->{limit_s} <= time || $use->{blocked};
	$use->{blocked} = 0;
	return 0 if ++$use->{n} <= $set->{limit};
	$use->{blocked} = time + $set->{limit_block_s};
	return 1;
}

# What the product answers: bytes, and {status, headers} where they are not the usual ones.
sub vendor {
	my ($self, $request, $rule) = @_;
	my ($set, $path) = ($self->{set}, $request->{path});
	return $self->shop($request, $rule) if $path =~ m{^/(v1|oauth)/};
	my $arg = {};
	if (length $request->{body}) {
		return $self->failed(40033, 'invalid charset. please check your request, if include \\uxxxx will create fail!') if $request->{body} =~ /\\u[0-9a-f]{4}/i;
		$arg = eval { $wire->decode($request->{body}) } // return $self->failed(47001, 'data format error');
	}
	if ($path eq '/cgi-bin/gettoken' || $path eq '/cgi-bin/stable_token') {
		my ($id, $secret) = $path eq '/cgi-bin/gettoken' ? @{ $request->{query} }{qw(corpid corpsecret)} : @$arg{qw(appid secret)};
		return $self->failed(60020, 'not allow to access from your ip') if $set->{ip};
		return $self->failed(40013, 'invalid corpid') if ($id // '') ne $set->{corpid};
		return $self->failed(40001, 'invalid credential') if ($secret // '') ne $set->{secret};
		return $wire->encode({ errcode => 0, errmsg => 'ok', access_token => $self->token_of("$id|$secret"), expires_in => $set->{ttl} + 0 });
	}
	my $token = $request->{query}{access_token};
	return $self->failed(41001, 'access_token missing') if !defined $token;
	return $self->failed($self->{handed}{$token} ? 42001 : 40014, $self->{handed}{$token} ? 'access_token expired' : 'invalid access_token') if !$self->holds($token);
	return $self->failed(45009, 'reach max api daily quota limit') if $self->too_many($path);
	my $body = MockVendorData::answer($set, $path, $arg, $request->{query}, $rule);
	return $self->failed(@$body) if ref $body;
	return $self->failed(48002, 'api forbidden') if !defined $body;
	if ($set->{text_code}) { $body =~ s/^\{"errcode":0/{"errcode":"0"/ }
	if ($set->{dirty}) { $body =~ s/Mrs/Mrs\x01\t/g; $body = "\x{ef}\x{bb}\x{bf}$body" }
	return $body;
}

# The shop: rights by its kind of auth, then its data.
sub shop {
	my ($self, $request, $rule) = @_;
	my ($set, $path, $h) = ($self->{set}, $request->{path}, $request->{headers});
	my $refused = sub { my ($status, $word) = @_; return ($wire->encode({ error => $word }), { status => $status }) };
	if ($path eq '/oauth/token') {
		my %form = map { my ($k, $v) = split /=/, $_, 2; ($k, unescape($v // '')) } split /&/, $request->{body};
		@form{qw(client_id client_secret)} = split /:/, MIME::Base64::decode_base64($1), 2 if ($h->{authorization} // '') =~ /^Basic (\S+)/;
		return $refused->('401 Unauthorized', 'invalid_client') if ($form{client_id} // '') ne 'mock-client' || ($form{client_secret} // '') ne $set->{secret};
		if (($form{grant_type} // '') eq 'refresh_token') { # each serves once, if it turns
			return $refused->('400 Bad Request', 'invalid_grant') if ($form{refresh_token} // '') ne $set->{refresh};
			$set->{refresh}++ if $set->{refresh_turns}; # MOCKREFRESHaa, MOCKREFRESHab
			return $wire->encode({ access_token => $self->token_of("mock-client|$form{client_secret}"), refresh_token => $set->{refresh}, token_type => 'Bearer', expires_in => $set->{ttl} + 0 });
		}
		return $refused->('400 Bad Request', 'unsupported_grant_type') if ($form{grant_type} // '') ne 'client_credentials';
		return $wire->encode({ access_token => $self->token_of("mock-client|$form{client_secret}"), token_type => 'Bearer', expires_in => $set->{ttl} + 0 });
	}
	my $auth = $h->{authorization} // '';
	my $let_in = $auth eq "Bearer $set->{secret}" || $auth eq 'Basic ' . encode_base64("mock-client:$set->{secret}", '')
		|| $auth =~ /^Bearer (\S+)$/ && $self->holds($1)
		|| ($h->{'x-signature'} // '') eq hmac_sha256_hex(join("|", $request->{method}, $path, $request->{raw_query}, $h->{'x-timestamp'} // '', $request->{body}), $set->{secret}) && abs(($h->{'x-timestamp'} // 0) - time) < 300;
	return $refused->('401 Unauthorized', 'not let in') if !$let_in;
	return ($wire->encode({ error => 'too many' }), { status => '429 Too Many Requests', headers => { 'Retry-After' => POSIX::ceil($set->{limit_block_s}) } }) if $self->too_many($path);
	my $body = MockVendorData::shop($set, $path, $request->{query}, $rule);
	return $refused->('404 Not Found', 'no such path') if !defined $body;
	return $refused->("$body->[0] Refused", $body->[1]) if ref $body;
	return ($body, {});
}

1;
