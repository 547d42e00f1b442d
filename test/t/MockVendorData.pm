# What the mock vendor tells: people, chats, figures by day, orders. Everything follows from its settings, so a test that has the same
# settings knows each record without asking. Texts of records are written by hand: JSON::PP takes longer for a page than a vendor does.
package MockVendorData;
use strict;
use warnings;
use JSON::PP ();
use POSIX ();
use Time::Local qw(timegm);
use utf8;

my $wire = JSON::PP->new->canonical->allow_nonref->utf8;

sub defaults {
	return {
		staff => 3,       # members of staff: staff1 ...
		contacts => 120,  # of each
		page => 100,      # records a page at most, whatever limit asks for
		groups => 2,      # chats of each member of staff
		ways => 3, links => 1, services => 1, messages => 30, lives => 1,
		first_day => '2026-03-01', # contacts were added from then on
		zero_days => [],  # days that are not counted yet: figures are told as 0
		late_days => [],  # days that are told with is_delay
		restated => {},   # day to what is added to its first figure
		gone => [],       # external_userid of contacts that left
		changed => [],    # and of those with another remark
		events => 250, orders => 20, # of the shop: in all; of a day
		now => 0,         # the vendor's time as epoch; 0: that of the clock
	};
}

# A number below $below that follows from the others.
sub number { my ($below, @of) = @_; my $x = 17; for my $n (@of) { $x = ($x * 31 + $n * 7919 + 11) % 1000003 } return $x % $below }

sub epoch_of { my ($y, $m, $d) = $_[0] =~ /^(\d{4})-?(\d\d)-?(\d\d)$/ or return; return eval { timegm(0, 0, 0, $d, $m - 1, $y) } }
sub day_of { return POSIX::strftime('%Y-%m-%d', gmtime $_[0]) }
sub beijing_day { return day_of($_[0] + 8 * 3600) }
sub days { my ($from, $to) = map { epoch_of($_) } @_; my @days; for (my $t = $from; $t <= $to; $t += 86400) { push @days, day_of($t) } return @days }
sub today { return beijing_day($_[0]{now} || time) }
sub is_zero { my ($set, $rule, $day) = @_; return $rule->{zero} || $day ge today($set) || grep { $_ eq $day } @{ $set->{zero_days} } }
sub more_of { my ($set, $day) = @_; return $set->{restated}{$day} // 0 }

# ---- WeCom

sub staff { return map { "staff$_" } 1 .. $_[0]{staff} }
sub contact_id { return sprintf 'wmMOCK%02d%06d', @_ }
sub contact {
	my ($set, $s, $i) = @_;
	my $id = contact_id($s, $i);
	my $at = epoch_of($set->{first_day}) + number(60 * 86400, $s, $i);
	my @way = (0, 1, 2, 3, 10, 201);
	my $way = $way[ number(6, $s, $i, 5) ];
	return sprintf '{"external_contact":{"external_userid":"%s","name":"Mrs 王%d🙂","type":1,"gender":%d%s},"follow_info":{"userid":"staff%d","remark":"%s","createtime":%d,"tag_id":["t%d"],"remark_mobiles":["1380000%04d"],"add_way":%d,"oper_userid":"staff%d"%s}}',
		$id, $i, $i % 3, $i % 3 ? ",\"unionid\":\"ouMOCK$s-$i\"" : '', $s, (grep { $_ eq $id } @{ $set->{changed} }) ? 'another' : "guest $i", $at, $i % 4, $i % 10000, $way, $s,
		$i % 4 == 0 ? ',"state":"way' . (1 + $i % ($set->{ways} || 1)) . '"' : '';
}
# Texts of all contacts of these members of staff, in the vendor's order.
sub contacts {
	my ($set, @of) = @_;
	my %gone = map { $_ => 1 } @{ $set->{gone} };
	return map { my ($s) = /^staff(\d+)$/; map { contact($set, $s, $_) } grep { !$gone{ contact_id($s, $_) } } 1 .. $set->{contacts} } @of ? @of : staff($set);
}
# One page of them, without making the others.
sub page_of_contacts {
	my ($set, $arg, @of) = @_;
	my %gone = map { $_ => 1 } @{ $set->{gone} };
	my @who = map { /^staff(\d+)$/ } @of;
	my @left = %gone ? (grep { !$gone{ contact_id(@$_) } } map { my $s = $_; map { [ $s, $_ ] } 1 .. $set->{contacts} } @who) : ();
	my $one = sub { my $n = shift; return %gone ? @{ $left[$n] } : ($who[ int($n / $set->{contacts}) ], 1 + $n % $set->{contacts}) };
	return paged($set, 'external_contact_list', $arg, 0, %gone ? scalar @left : @who * $set->{contacts}, sub { join ',', map { utf8_of(contact($set, $one->($_))) } $_[0] .. $_[1] });
}
sub utf8_of { my $text = shift; utf8::encode($text); return $text }

# Figures of a member of staff on a day.
sub behavior {
	my ($set, $s, $day, $zero) = @_;
	my $d = epoch_of($day) / 86400;
	my @n = $zero ? (0) x 5 : (10 + number(50, $s, $d) + more_of($set, $day), 40 + number(200, $s, $d, 1), number(10, $s, $d, 2), number(20, $s, $d, 3), number(3, $s, $d, 4));
	return sprintf '{"stat_time":%d,"chat_cnt":%d,"message_cnt":%d,"reply_percentage":%s,"avg_reply_time":%d,"negative_feedback_cnt":%d,"new_apply_cnt":%d,"new_contact_cnt":%d}',
		epoch_of($day) - 8 * 3600, @n[ 0, 1 ], $zero ? '0' : sprintf('%.2f', 50 + number(5000, $s, $d, 6) / 100), $zero ? 0 : 1 + number(60, $s, $d, 7), @n[ 4, 3, 2 ];
}

sub ok { return '{"errcode":0,"errmsg":"ok"' . (length $_[0] ? ",$_[0]" : '') . '}' }
sub list { my ($name, @text) = @_; return ok("\"$name\":[" . join(',', @text) . ']') }

# Some of $all items by a cursor: $between gives the texts of items from one to another, from 0. The end has an empty cursor; one that
# begins with x expires.
sub paged {
	my ($set, $name, $arg, $expires, $all, $between) = @_;
	my $prefix = $expires ? "x$set->{cursors}-" : 'c-';
	my $from = 0;
	if (($arg->{cursor} // '') ne '') {
		return [ 40058, 'invalid cursor' ] if $arg->{cursor} !~ /^\Q$prefix\E(\d+)$/;
		$from = $1;
	}
	my $size = $arg->{limit} && $arg->{limit} < $set->{page} ? $arg->{limit} : $set->{page};
	my $to = $from + $size - 1 < $all - 1 ? $from + $size - 1 : $all - 1;
	return ok("\"$name\":[" . $between->($from, $to) . '],"next_cursor":"' . ($to + 1 < $all ? $prefix . ($to + 1) : '') . '"');
}
sub pages { my ($set, $name, $arg, $expires, @text) = @_; return paged($set, $name, $arg, $expires, scalar @text, sub { join ',', @text[ $_[0] .. $_[1] ] }) }

# The days of a window in epochs of Beijing, or the vendor's answer to a bad one.
sub window {
	my ($from, $to, $most, $code) = @_;
	return [ 40058, 'start_time missing' ] if !defined $from || !defined $to || $from !~ /^\d+$/ || $to !~ /^\d+$/;
	my @days = days(beijing_day($from), beijing_day($to));
	return [ $code // 600018, 'invalid time span' ] if !@days || @days > $most;
	return @days;
}

my %wecom = (
	'externalcontact/get_follow_user_list' => sub { my ($set) = @_; return list('follow_user', map { "\"$_\"" } staff($set)) },
	'externalcontact/batch/get_by_user' => sub {
		my ($set, $arg) = @_;
		my @of = ref $arg->{userid_list} eq 'ARRAY' ? @{ $arg->{userid_list} } : ();
		return [ 40058, 'userid_list invalid' ] if !@of || @of > 100 || ($arg->{limit} // 50) > 100;
		return [ 60111, 'userid not found' ] if grep { my $s = $_; !grep { $_ eq $s } staff($set) } @of;
		return page_of_contacts($set, $arg, @of);
	},
	'externalcontact/contact_list' => sub {
		my ($set, $arg) = @_;
		return pages($set, 'info_list', $arg, 1, map { my $s = $_; map { sprintf '{"is_customer":true,"external_userid":"%s","follow_userid":"staff%d","name":"Mrs","add_time":%d}', contact_id($s, $_), $s, epoch_of($set->{first_day}) + number(60 * 86400, $s, $_) } 1 .. $set->{contacts} } 1 .. $set->{staff});
	},
	'externalcontact/get_user_behavior_data' => sub {
		my ($set, $arg, $rule) = @_;
		my ($s) = (ref $arg->{userid} eq 'ARRAY' && @{ $arg->{userid} } == 1 ? $arg->{userid}[0] : '') =~ /^staff(\d+)$/ or return [ 40058, 'userid invalid' ];
		my @days = window(@$arg{qw(start_time end_time)}, 30);
		return $days[0] if ref $days[0];
		return [ 600018, 'start_time too early' ] if $days[0] lt beijing_day(($set->{now} || time) - 181 * 86400);
		return list('behavior_data', map { behavior($set, $s, $_, is_zero($set, $rule, $_)) } @days);
	},
	'externalcontact/groupchat/list' => sub { my ($set, $arg) = @_; return pages($set, 'group_chat_list', $arg, 0, map { my $s = $_; map { "{\"chat_id\":\"wrMOCK$s-$_\",\"status\":0}" } 1 .. $set->{groups} } map { /^staff(\d+)$/ } @{ $arg->{owner_filter}{userid_list} // [] }) },
	'externalcontact/groupchat/get' => sub {
		my ($set, $arg) = @_;
		my ($s, $g) = ($arg->{chat_id} // '') =~ /^wrMOCK(\d+)-(\d+)$/ or return [ 40058, 'chat_id invalid' ];
		return ok(sprintf '"group_chat":{"chat_id":"%s","name":"Group %d","owner":"staff%d","create_time":%d,"member_list":[%s]}', $arg->{chat_id}, $g, $s, epoch_of($set->{first_day}),
			join ',', "{\"userid\":\"staff$s\",\"type\":1,\"join_time\":" . epoch_of($set->{first_day}) . ',"join_scene":1}', map { sprintf '{"userid":"%s","type":2,"join_time":%d,"join_scene":3,"state":"group%d"}', contact_id($s, $_), epoch_of($set->{first_day}) + $_ * 3600, $g } 1 .. ($set->{contacts} < 3 ? $set->{contacts} : 3));
	},
	'externalcontact/groupchat/statistic_group_by_day' => sub {
		my ($set, $arg, $rule) = @_;
		my @days = window(@$arg{qw(day_begin_time day_end_time)}, 30);
		return $days[0] if ref $days[0];
		my ($s) = ($arg->{owner_filter}{userid_list}[0] // '') =~ /^staff(\d+)$/ or return [ 40058, 'owner_filter invalid' ];
		return list('items', map { my $zero = is_zero($set, $rule, $_) ? 0 : 1; my $d = epoch_of($_) / 86400; sprintf '{"stat_time":%d,"data":{"new_chat_cnt":%d,"chat_total":%d,"chat_has_msg":%d,"new_member_cnt":%d,"member_total":%d,"member_has_msg":%d,"msg_total":%d}}',
			epoch_of($_) - 8 * 3600, map { $_ * $zero } number(2, $s, $d), $set->{groups}, 1, number(5, $s, $d, 1), 40 + number(9, $s, $d, 2), 5, 30 + number(90, $s, $d, 3) } @days);
	},
	'externalcontact/list_contact_way' => sub { my ($set, $arg) = @_; return pages($set, 'contact_way', $arg, 0, map { "{\"config_id\":\"way$_\"}" } 1 .. $set->{ways}) },
	'externalcontact/get_contact_way' => sub { my ($set, $arg) = @_; my ($w) = ($arg->{config_id} // '') =~ /^way(\d+)$/ or return [ 41044, 'invalid config_id' ]; return ok("\"contact_way\":{\"config_id\":\"way$w\",\"type\":2,\"scene\":2,\"remark\":\"Way $w\",\"state\":\"way$w\",\"user\":[\"staff1\"]}") },
	'externalcontact/customer_acquisition/list_link' => sub { my ($set, $arg) = @_; return pages($set, 'link_id_list', $arg, 0, map { "\"link$_\"" } 1 .. $set->{links}) },
	'externalcontact/customer_acquisition/get' => sub { my ($set, $arg) = @_; my ($l) = ($arg->{link_id} // '') =~ /^link(\d+)$/ or return [ 40058, 'link_id invalid' ]; return ok("\"link\":{\"link_id\":\"link$l\",\"link_name\":\"Link $l\",\"url\":\"https://work.weixin.qq.com/ca/mock$l\",\"create_time\":" . epoch_of($set->{first_day}) . '}') },
	'externalcontact/customer_acquisition/customer' => sub { my ($set, $arg) = @_; return pages($set, 'customer_list', $arg, 0, map { sprintf '{"external_userid":"%s","userid":"staff1","chat_status":1,"state":"link"}', contact_id(1, $_) } 1 .. ($set->{contacts} < 5 ? $set->{contacts} : 5)) },
	'externalcontact/customer_acquisition/statistic' => sub { my ($set, undef, undef, $query) = @_; my @days = window(@$query{qw(start_time end_time)}, 30); return $days[0] if ref $days[0]; my $d = epoch_of($days[0]) / 86400; return ok('"click_link_customer_cnt":' . number(40, $d) . ',"new_customer_cnt":' . number(9, $d, 1)) },
	'kf/account/list' => sub { my ($set, $arg) = @_; my @all = map { "{\"open_kfid\":\"wkMOCK$_\",\"name\":\"Service $_\"}" } 1 .. $set->{services}; my $from = $arg->{offset} // 0; return list('account_list', $from > $#all ? () : @all[ $from .. $#all ]) },
	'kf/sync_msg' => sub {
		my ($set, $arg) = @_;
		my ($from) = ($arg->{cursor} // '') =~ /^m(\d+)$/;
		$from //= 0;
		my $to = $from + ($set->{page} < ($arg->{limit} // 1000) ? $set->{page} : $arg->{limit} // 1000);
		$to = $set->{messages} if $to > $set->{messages};
		return ok("\"next_cursor\":\"m$to\",\"has_more\":" . ($to < $set->{messages} ? 1 : 0) . ',"msg_list":[' . join(',', map { sprintf '{"msgid":"msg%d","open_kfid":"%s","external_userid":"%s","send_time":%d,"origin":3,"msgtype":"text","text":{"content":"hello %d"}}', $_, $arg->{open_kfid} // '', contact_id(1, 1 + $_ % ($set->{contacts} || 1)), epoch_of($set->{first_day}) + $_ * 60, $_ } $from + 1 .. $to) . ']');
	},
	'kf/get_corp_statistic' => sub { my ($set, $arg, $rule) = @_; my @days = window(@$arg{qw(start_time end_time)}, 31); return $days[0] if ref $days[0]; return list('statistic_list', map { my $z = is_zero($set, $rule, $_) ? 0 : 1; my $d = epoch_of($_) / 86400; sprintf '{"stat_time":%d,"statistic":{"session_cnt":%d,"customer_cnt":%d,"customer_msg_cnt":%d}}', epoch_of($_) - 8 * 3600, map { $_ * $z } 5 + number(20, $d), 4 + number(9, $d, 1), 20 + number(99, $d, 2) } @days) },
	'living/get_user_all_livingid' => sub { my ($set, $arg) = @_; my ($s) = ($arg->{userid} // '') =~ /^staff(\d+)$/ or return [ 40058, 'userid invalid' ]; return pages($set, 'livingid_list', $arg, 0, map { "\"lv$s-$_\"" } 1 .. $set->{lives}) },
	'living/get_living_info' => sub { my ($set, undef, undef, $query) = @_; my ($s, $l) = ($query->{livingid} // '') =~ /^lv(\d+)-(\d+)$/ or return [ 40058, 'livingid invalid' ]; return ok(sprintf '"living_info":{"theme":"Live %d","living_start":%d,"living_duration":3600,"status":3,"anchor_userid":"staff%d","viewer_num":%d,"comment_num":%d,"mic_num":1,"online_count":0,"subscribe_count":2}', $l, epoch_of($set->{first_day}) + $l * 86400, $s, 100 + number(99, $s, $l), number(50, $s, $l, 1)) },
	'living/get_watch_stat' => sub {
		my ($set, $arg) = @_;
		my $page = ($arg->{next_key} // '') eq '' ? 0 : 1;
		return [ 40058, 'next_key invalid' ] if $page && $arg->{next_key} ne "k$set->{cursors}";
		return ok('"ending":' . $page . ',"next_key":"' . ($page ? '' : "k$set->{cursors}") . '","stat_info":{"users":[],"external_users":[' . join(',', map { sprintf '{"external_userid":"%s","type":1,"name":"Mrs","watch_time":%d}', contact_id(1, $_ + $page * 2), $_ * 60 } 1 .. 2) . ']}');
	},
);

# ---- WeChat: official account, channels, shop of channels

my $span = sub {
	my ($set, $arg, $most) = @_;
	return [ 61500, 'date format error' ] if ($arg->{begin_date} // '') !~ /^\d{4}-\d\d-\d\d$/ || ($arg->{end_date} // '') !~ /^\d{4}-\d\d-\d\d$/;
	my @days = days(@$arg{qw(begin_date end_date)});
	return [ 61501, 'date range error' ] if !@days || @days > $most || $days[-1] ge today($set);
	return @days;
};
# Figures that come with is_delay until they are counted.
my $delayed = sub {
	my ($fields) = @_;
	return sub {
		my ($set, $arg, $rule) = @_;
		my @days = $span->($set, $arg, 1);
		return $days[0] if ref $days[0];
		my $late = $rule->{late} || grep { $_ eq $days[0] } @{ $set->{late_days} };
		my $d = epoch_of($days[0]) / 86400;
		return '{"is_delay":' . ($late ? 'true' : 'false') . ',"list":[' . ($late ? '' : join ',', map { my $m = $_; sprintf '{"ref_date":"%s","msgid":"2247%d_1","detail":{%s}}', $days[0], 480000 + $m, join ',', map { "\"$_\":" . (number(500, $d, $m, length) + more_of($set, $days[0])) } @$fields } 1 .. 2) . ']}';
	};
};
my %wechat = (
	'/cgi-bin/user/get' => sub { my ($set, undef, undef, $query) = @_; my ($from) = ($query->{next_openid} // '') =~ /^o(\d+)$/; $from //= 0; my $to = $from + $set->{page}; $to = $set->{contacts} if $to > $set->{contacts};
		return '{"total":' . $set->{contacts} . ',"count":' . ($to - $from) . ($to > $from ? ',"data":{"openid":[' . join(',', map { "\"o$_\"" } $from + 1 .. $to) . "]},\"next_openid\":\"o$to\"}" : ',"next_openid":""}') },
	'/cgi-bin/user/info/batchget' => sub { my ($set, $arg) = @_; return '{"user_info_list":[' . join(',', map { my ($i) = $_->{openid} =~ /(\d+)/; sprintf '{"subscribe":1,"openid":"%s","unionid":"ouMOCK1-%d","subscribe_time":%d,"subscribe_scene":"ADD_SCENE_QR_CODE","qr_scene":0,"qr_scene_str":"scene%d"}', $_->{openid}, $i, epoch_of($set->{first_day}) + $i * 60, $i % 3 } @{ $arg->{user_list} // [] }) . ']}' },
	'/datacube/getusersummary' => sub { my ($set, $arg, $rule) = @_; my @days = $span->($set, $arg, 7); return $days[0] if ref $days[0]; return '{"list":[' . join(',', map { my $day = $_; my $z = is_zero($set, $rule, $day) ? 0 : 1; my $d = epoch_of($day) / 86400; map { sprintf '{"ref_date":"%s","user_source":%d,"new_user":%d,"cancel_user":%d}', $day, $_, $z * (number(30, $d, $_) + 1 + more_of($set, $day)), $z * number(9, $d, $_, 1) } 0, 1, 200 } @days) . ']}' },
	'/datacube/getusercumulate' => sub { my ($set, $arg, $rule) = @_; my @days = $span->($set, $arg, 7); return $days[0] if ref $days[0]; return '{"list":[' . join(',', map { sprintf '{"ref_date":"%s","user_source":0,"cumulate_user":%d}', $_, is_zero($set, $rule, $_) ? 0 : 1000 + epoch_of($_) / 86400 - 20000 } @days) . ']}' },
	'/cgi-bin/freepublish/batchget' => sub { my ($set, $arg) = @_; my @all = map { sprintf '{"article_id":"art%d","content":{"news_item":[{"title":"Article %d","author":"A","digest":"d","url":"https://mp.weixin.qq.com/s/mock%d"}]},"update_time":%d}', $_, $_, $_, epoch_of($set->{first_day}) + $_ * 3600 } 1 .. 25; my $from = $arg->{offset} // 0; my $to = $from + ($arg->{count} // 20) - 1; $to = $#all if $to > $#all; return '{"total_count":25,"item_count":' . ($to - $from + 1) . ',"item":[' . join(',', @all[ $from .. $to ]) . ']}' },
	'/datacube/getarticleread' => $delayed->(['read_user']), '/datacube/getarticleshare' => $delayed->(['share_user']),
	'/datacube/getbizsummary' => $delayed->([qw(read_user share_user zaikan_user like_user comment_count)]), '/datacube/getarticletotaldetail' => $delayed->(['read_user']),
	'/datacube/getupstreammsg' => sub { my ($set, $arg) = @_; my @days = $span->($set, $arg, 1); return $days[0] if ref $days[0]; my $d = epoch_of($days[0]) / 86400; return "{\"list\":[{\"ref_date\":\"$days[0]\",\"user_source\":0,\"msg_type\":1,\"msg_user\":" . number(50, $d) . ',"msg_count":' . number(90, $d, 1) . '}]}' },
	'/channels/finderlive/get_finder_attr_by_appid' => sub { return '{"errcode":"0","errmsg":"ok","finder_attr":{"uniq_id":"sphMOCK","nickname":"Mock","fans_count":1234}}' },
	'/channels/livedashboard/getlivelist' => sub { my ($set, $arg) = @_; return [ 61500, 'ds' ] if ($arg->{ds} // '') !~ /^\d{8}$/; return "{\"errcode\":\"0\",\"errmsg\":\"ok\",\"has_more\":false,\"live_items\":[{\"export_id\":\"live$arg->{ds}\",\"create_time\":" . (epoch_of("$arg->{ds}") + 3600) . '}]}' },
	'/channels/livedashboard/getlivedata' => sub { my ($set, $arg) = @_; my $inner = $wire->encode({ live_id => $arg->{export_id}, viewers => number(900, length $arg->{export_id}), quote => '"\\' }); return '{"errcode":"0","errmsg":"ok","live_dashboard_data":' . $wire->encode(JSON::PP::decode_json($wire->encode($inner)) // '') . '}' },
	'/channels/ec/compass/shop/overall/get' => sub { my ($set, $arg, $rule) = @_; my $day = day_of(epoch_of($arg->{ds} // '') // 0); my $d = epoch_of($day) / 86400; my $z = is_zero($set, $rule, $day) ? 0 : 1; return sprintf '{"errcode":0,"errmsg":"ok","data":{"pay_gmv":"%d","pay_uv":"%d","pay_order_cnt":"%d","pay_refund_gmv":"%d","live_pay_gmv":"%d","feed_pay_gmv":"0"}}', map { $_ * $z } 10000 + number(90000, $d), 10 + number(90, $d, 1), 12 + number(90, $d, 2), number(900, $d, 3), number(5000, $d, 4) },
	'/cgi-bin/openapi/quota/get' => sub { return '{"errcode":0,"errmsg":"ok","quota":{"daily_limit":5000,"used":7,"remain":4993}}' },
);

# Bytes that the vendor answers to a path with its token; [code, message] for an error of its own; nothing for a path that it has not.
sub answer {
	my ($set, $path, $arg, $query, $rule) = @_;
	return $wechat{$path}->($set, $arg, $rule, $query) if $wechat{$path};
	my ($name) = $path =~ m{^/cgi-bin/(.*)} or return;
	return $wecom{$name} ? $wecom{$name}->($set, $arg, $rule, $query) : undef;
}

# ---- the shop with a REST API

sub rest_manifest {
	my $auth = shift;
	my %auth = (
		header => { kind => 'header', headers => { authorization => 'Bearer $secret.token' } },
		basic => { kind => 'basic', username => 'mock-client', password => '$secret.token' },
		oauth => { kind => 'oauth_client', path => '/oauth/token', client_id => 'mock-client', client_secret => '$secret.token' },
		hmac => { kind => 'hmac', key => '$secret.token', message => [ '$method', '$path', '$query', '$timestamp', '$body' ], join => '|', signature => { header => 'x-signature' }, timestamp => { header => 'x-timestamp' } });
	return {
		version => 1, tz => 'Asia/Shanghai', secrets => { token => { required => JSON::PP::true } }, auth => $auth{$auth}, title => 'Mock shop', channel => 'WeCom',
		errors => [ { http => [ 429, 503 ], do => 'retry', max => 3, honor => 'retry-after' }, { http => '5xx', do => 'retry', max => 3 }, { http => 401, do => $auth eq 'oauth' ? 'reauth_once' : 'config' } ],
		streams => {
			events => { title => 'Events', probe => JSON::PP::true, path => '/v1/events', query => { limit => '$size' }, cursor => { send => 'query.after', take => '$.next', size => 100, resumable => JSON::PP::true },
				records => '$.events[*]', key => ['id'], every => '1 day', touchpoint => { kind => 'page_view', occurred_at => { path => 'at', format => 'iso' }, identifiers => { email => 'email' }, properties => { page => 'page' } }, pii => ['email'] },
			orders => { title => 'Orders', path => '/v1/orders', query => { from => '$window.from', to => '$window.to', size => '$size' }, window => { unit => 'day', max_days => 10, history_days => 10, lookback_days => 1, final_after_days => 2, format => 'date' },
				cursor => { kind => 'page', send => 'query.page', start => 1, size => 100, pages => '$.pages' }, records => '$.orders[*]', key => ['id'], ref_date => { path => 'paid_at', format => 'iso' },
				touchpoint => { kind => 'order', occurred_at => { path => 'paid_at', format => 'iso' }, identifiers => { email => 'email' }, value => { path => 'cents', scale => 0.01 }, currency => 'CNY' }, pii => ['email'] },
			visits => { title => 'Visits by day', path => '/v1/visits', query => { from => '$window.from', to => '$window.to' }, window => { unit => 'day', max_days => 10, history_days => 30, lookback_days => 2, final_after_days => 2, format => 'date' },
				records => '$.days[*]', unpack => ['figures'], key => ['day'], ref_date => 'day', not_ready => { all_zero => JSON::PP::true }, metrics => { visits => { path => 'figures.visits', kind => 'sum', as => 'visits' }, views => { path => 'figures.views', kind => 'sum', as => 'views' } } },
		} };
}
sub rest_secrets { my ($secret) = @_; return { token => $secret } }

sub event { my ($n) = @_; return sprintf '{"id":%d,"at":"%sT%02d:%02d:00Z","email":"person%d@example.org","page":"/p/%d","amount":"%d.%02d","note":"visit number %d"}', $n, day_of(1772323200 + int($n / 1000) * 86400), $n % 24, $n % 60, $n % 997, $n % 50, $n % 300, $n % 100, $n }
# Ids of 19 digits, as numbers: a reader that takes them for floating point mixes them up.
sub order { my ($day, $n) = @_; my $d = epoch_of($day) / 86400; return sprintf '{"id":9%06d%012d,"paid_at":"%sT%02d:30:00+08:00","email":"person%d@example.org","cents":%d}', $d, $n, $day, $n % 24, number(997, $d, $n), 100 + number(90000, $d, $n, 1) }
sub visits { my ($set, $day, $zero) = @_; my $d = epoch_of($day) / 86400; return sprintf '{"day":"%s","figures":"{\\"visits\\":%d,\\"views\\":%d}"}', $day, $zero ? (0, 0) : (50 + number(100, $d) + more_of($set, $day), 200 + number(400, $d, 1)) }

sub shop {
	my ($set, $path, $query, $rule) = @_;
	if ($path eq '/v1/events') {
		my ($from) = ($query->{after} // '') =~ /^e(\d+)$/;
		return [ 400, 'no such cursor' ] if defined $query->{after} && $query->{after} ne '' && !defined $from;
		$from //= 0;
		my $to = $from + (($query->{limit} || 100) < $set->{page} ? $query->{limit} : $set->{page});
		$to = $set->{events} if $to > $set->{events};
		return '{"events":[' . join(',', map { event($_) } $from + 1 .. $to) . '],"next":' . ($to < $set->{events} ? "\"e$to\"" : 'null') . '}';
	}
	my ($first, $last) = @$query{qw(from to)};
	return if $path ne '/v1/orders' && $path ne '/v1/visits';
	return [ 400, 'from and to are days' ] if grep { ($_ // '') !~ /^\d{4}-\d\d-\d\d$/ } $first, $last;
	my @days = days($first, $last);
	return '{"days":[' . join(',', map { visits($set, $_, is_zero($set, $rule, $_)) } @days) . ']}' if $path eq '/v1/visits';
	@days = grep { $_ lt today($set) } @days;
	my ($all, $size) = (@days * $set->{orders}, $query->{size} // 50);
	return [ 400, 'no such size' ] if $size !~ /^\d+$/ || $size < 1;
	my ($page, $pages) = ($query->{page} // 1, POSIX::ceil($all / $size) || 1);
	return [ 400, 'no such page' ] if $page !~ /^\d+$/ || $page < 1 || $page > $pages;
	my $to = $page * $size < $all ? $page * $size - 1 : $all - 1;
	return '{"pages":' . $pages . ',"orders":[' . join(',', map { order($days[ int($_ / $set->{orders}) ], 1 + $_ % $set->{orders}) } ($page - 1) * $size .. $to) . ']}';
}

1;
