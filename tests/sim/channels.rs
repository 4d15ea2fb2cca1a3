//! Data channels through the relay, with real SCTP at both ends.

use sluice::peer::{Channel, ChannelMessage};
use sluice::worker::Config;

use crate::broadcast::SECOND;
use crate::net::Net;

fn chat() -> Channel {
    Channel {
        label: "channel".into(),
        protocol: "chat".into(),
        ordered: true,
        max_packet_life_time: None,
        max_retransmits: None,
    }
}

fn unordered() -> Channel {
    Channel { label: "telemetry".into(), protocol: String::new(), ordered: false, max_retransmits: Some(2), ..chat() }
}

fn short_lived() -> Channel {
    Channel { label: "pose".into(), max_packet_life_time: Some(150), ..chat() }
}

fn text(text: &str) -> ChannelMessage {
    ChannelMessage { is_text: true, data: text.to_owned().into() }
}

fn binary(bytes: &[u8]) -> ChannelMessage {
    ChannelMessage { is_text: false, data: bytes.to_vec().into() }
}

/// A stream with a publisher that has opened both channels, and no viewer.
fn published(config: Config) -> (Net, usize) {
    let mut net = Net::with(2, config);
    net.application = true;
    let publisher = net.publish("cam");
    net.connect();
    open(&mut net, publisher, &chat());
    open(&mut net, publisher, &unordered());
    net.run(SECOND);
    (net, publisher)
}

/// The channels that a client has, without the one by which it negotiates data channels at all.
fn opened(net: &Net, client: usize) -> Vec<Channel> {
    net.clients[client].channels.iter().filter(|channel| channel.label != "sluice").cloned().collect()
}

fn open(net: &mut Net, client: usize, channel: &Channel) {
    let now = net.now;
    net.clients[client].peer.open_channel(channel, now);
}

fn say(net: &mut Net, client: usize, label: &str, message: &ChannelMessage) {
    let now = net.now;
    net.clients[client].peer.send_message(label, message, now).expect("the channel is open");
}

#[test]
fn a_viewer_gets_the_publishers_channels_and_messages_whenever_it_joins() {
    let (mut net, publisher) = published(Config::default());
    let viewer = net.watch("cam");
    net.connect();
    net.run(SECOND);
    assert_eq!(opened(&net, viewer), [chat(), unordered()], "label, protocol, ordering and reliability");
    say(&mut net, publisher, "channel", &text("hello"));
    say(&mut net, publisher, "telemetry", &binary(&[0, 1, 255]));
    net.run(SECOND);
    let expected = [("channel".to_owned(), text("hello")), ("telemetry".to_owned(), binary(&[0, 1, 255]))];
    assert_eq!(net.clients[viewer].messages, expected);
}

#[test]
fn a_channel_is_as_reliable_for_viewers_as_its_opener_made_it() {
    let (mut net, publisher) = published(Config::default());
    open(&mut net, publisher, &short_lived());
    let viewer = net.watch("cam");
    net.connect();
    net.run(SECOND);
    assert_eq!(opened(&net, viewer), [chat(), unordered(), short_lived()]);
}

#[test]
fn a_channel_that_the_viewer_opened_itself_is_used() {
    let (mut net, publisher) = published(Config::default());
    let viewer = net.watch("cam");
    net.connect();
    open(&mut net, viewer, &chat());
    net.run(SECOND);
    assert_eq!(opened(&net, viewer), [chat(), unordered()], "its own, and what it has not opened");
    say(&mut net, publisher, "channel", &text("hello"));
    net.run(SECOND);
    assert_eq!(net.clients[viewer].messages, [("channel".to_owned(), text("hello"))]);
}

#[test]
fn messages_sent_before_a_viewers_channels_open_are_not_lost() {
    let (mut net, publisher) = published(Config::default());
    let viewer = net.watch("cam");
    net.connect();
    for number in 0..5 {
        say(&mut net, publisher, "channel", &text(&number.to_string()));
    }
    net.run(2 * SECOND);
    let heard: Vec<_> = net.clients[viewer].messages.iter().map(|(_, message)| message.clone()).collect();
    assert_eq!(heard, (0..5).map(|number| text(&number.to_string())).collect::<Vec<_>>());
}

#[test]
fn viewers_reach_the_publisher_only_where_that_is_allowed() {
    for viewer_messages in [false, true] {
        let (mut net, publisher) = published(Config { viewer_messages, ..Config::default() });
        let viewer = net.watch("cam");
        net.connect();
        net.run(SECOND);
        say(&mut net, viewer, "channel", &text("a question"));
        net.run(SECOND);
        let expected = [("channel".to_owned(), text("a question"))];
        assert_eq!(net.clients[publisher].messages, expected[..usize::from(viewer_messages)]);
        let dropped = net.drops("viewer_message") == 1;
        assert_eq!(dropped, !viewer_messages);
    }
}

#[test]
fn a_viewer_without_data_channels_is_left_alone() {
    let (mut net, publisher) = published(Config::default());
    net.application = false;
    let viewer = net.watch("cam");
    net.connect();
    say(&mut net, publisher, "channel", &text("hello"));
    net.run(SECOND);
    assert!(opened(&net, viewer).is_empty() && net.clients[viewer].messages.is_empty());
    assert_eq!(net.drops("channel_full"), 0);
}
