//! The media settings.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::Config;
use super::config::one_for_each_core;
use crate::advertise::{Advertise, StunServer};
use crate::forward::CacheLimits;
use crate::session::Quota;
use crate::setting;

/// The section `[media]`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "media")]
pub(crate) struct Settings {
    /// Address and UDP port for the media of all sessions
    #[arg(id = "media.listen", long = "media", env = "SLUICE_MEDIA", value_name = "ADDR:PORT")]
    #[arg(value_parser = setting::address, default_value = "0.0.0.0:8081")]
    listen: SocketAddr,

    /// Accept media by TCP too, on the port with the number of the media port, for clients whose network blocks UDP
    /// (ICE-TCP)
    #[arg(long, env = "SLUICE_ICE_TCP", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    ice_tcp: bool,

    /// Relay the media of this relay's own sessions by TURN on the ports that accept media by TCP, and announce that to
    /// clients, for those whose network allows only TCP
    #[arg(long, env = "SLUICE_TURN", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "true")]
    turn: bool,

    /// Addresses to which clients send media, where they differ from this machine's own (NAT, containers): IP
    /// addresses, names, or auto for what a STUN server reports, each with its public port if it differs
    /// (203.0.113.7:30081). Names and auto are looked up at start and every 5 minutes
    #[arg(long, env = "SLUICE_ADVERTISE", value_name = "ADDR[:PORT][,...]", value_delimiter = ',')]
    advertise: Vec<Advertise>,

    /// STUN servers that --advertise auto asks for this machine's public addresses, such as stun.example.org:3478
    #[arg(long, env = "SLUICE_STUN_SERVER", value_name = "HOST:PORT[,...]", value_delimiter = ',')]
    stun_server: Vec<StunServer>,

    /// Be a STUN server too: answer Binding requests without credentials on the media port. Each worker answers 50
    /// requests of a network (/24, /56) at once, then 10 a second
    #[arg(long, env = "SLUICE_STUN", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    stun: bool,

    /// Threads that forward media; if unset, one for each core
    #[arg(long, env = "SLUICE_WORKERS", value_name = "N")]
    workers: Option<NonZeroUsize>,

    /// Pass what viewers send on data channels to the publisher
    #[arg(long, env = "SLUICE_VIEWER_MESSAGES", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    viewer_messages: bool,

    /// Reject viewers of a stream that has no publisher (409) instead of letting them wait
    #[arg(long, env = "SLUICE_REFUSE_EARLY_VIEWERS", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    refuse_early_viewers: bool,

    /// Let publishers signal the video orientation instead of rotating the video; viewers without the extension
    /// (Firefox) show it rotated
    #[arg(long, env = "SLUICE_VIDEO_ORIENTATION", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    video_orientation: bool,

    /// Sessions at once: publishers, viewers and legs, connected or not yet; 0 for no limit. One more is refused (503)
    #[arg(long, env = "SLUICE_MAX_SESSIONS", value_name = "N", default_value = "0")]
    max_sessions: usize,

    /// Viewers of one stream at once; 0 for no limit. One more is refused (503)
    #[arg(long, env = "SLUICE_MAX_VIEWERS", value_name = "N", default_value = "0")]
    max_viewers: usize,

    /// Sessions of one client address at once (IPv6: of one /64); 0 for no limit; this machine is exempt. One more is
    /// refused (429)
    #[arg(long, env = "SLUICE_MAX_SESSIONS_PER_ADDRESS", value_name = "N", default_value = "0")]
    max_sessions_per_address: usize,

    /// Bits per second that one publisher may send, all tracks and resends together, such as 2500k or 8M; 0 for no
    /// limit. The answer names it (b=TIAS); a publisher that stays more than a tenth above for 5 s, or has such a mean
    /// over a minute, is ended
    #[arg(long, env = "SLUICE_MAX_PUBLISHER_BITRATE", value_name = "BITRATE", default_value = "0", value_parser = setting::bitrate)]
    max_publisher_bitrate: u64,

    /// Bits per second that a new viewer's network is taken to carry until its reports say what it carries, such as 500k
    /// or 2M. The viewer begins with the largest simulcast layer whose frames since the last keyframe arrive within 0.5 s
    #[arg(long, env = "SLUICE_START_BITRATE", value_name = "BITRATE", default_value = "1M", value_parser = start_bitrate)]
    start_bitrate: u64,

    /// How long viewers wait for a publisher to return before their sessions end
    #[arg(long, env = "SLUICE_GRACE", value_name = "SECONDS", default_value = "60")]
    grace: u32,

    /// How long the live publisher must be silent before a standby (?standby=1) takes over
    #[arg(long, env = "SLUICE_STANDBY_AFTER", value_name = "SECONDS", default_value = "1")]
    standby_after: NonZeroU32,

    /// How long frames since the last keyframe are kept, so that late viewers get a frame at once; 0 for none
    #[arg(long, env = "SLUICE_FAST_START", value_name = "SECONDS", default_value = "20")]
    fast_start: u32,

    /// Memory for the cached frames of one published video, at most
    #[arg(long, env = "SLUICE_FAST_START_SIZE", value_name = "MIB", default_value = "16")]
    fast_start_size: u32,

    /// Memory for the cached frames of all streams together; when it is used up, the largest caches are dropped. Up to
    /// 100 frames and 1 MiB of a stream are kept until its next keyframe, whatever --fast-start says (still screens)
    #[arg(long, env = "SLUICE_FAST_START_TOTAL", value_name = "MIB", default_value = "256")]
    fast_start_total: NonZeroU32,

    /// How long sessions go on after SIGTERM; the relay takes no new ones meanwhile
    #[arg(long, env = "SLUICE_DRAIN", value_name = "SECONDS", default_value = "10")]
    drain: u32,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        Self {
            media: settings.listen,
            ice_tcp: settings.ice_tcp,
            turn: settings.turn,
            advertise: settings.advertise,
            stun: settings.stun,
            stun_servers: settings.stun_server,
            workers: settings.workers.unwrap_or_else(one_for_each_core),
            small_stream: Self::default().small_stream,
            gathered_publishers: Self::default().gathered_publishers,
            viewer_messages: settings.viewer_messages,
            refuse_early_viewers: settings.refuse_early_viewers,
            video_orientation: settings.video_orientation,
            quota: Quota {
                sessions: settings.max_sessions,
                viewers: settings.max_viewers,
                sessions_per_address: settings.max_sessions_per_address,
            },
            max_publisher_bitrate: settings.max_publisher_bitrate,
            start_bitrate: settings.start_bitrate,
            grace: Duration::from_secs(settings.grace.into()),
            standby_after: Duration::from_secs(settings.standby_after.get().into()),
            cache: cache(settings.fast_start, settings.fast_start_size),
            cached_frames_total: (settings.fast_start_total.get() as usize).saturating_mul(1 << 20),
            drain: Duration::from_secs(settings.drain.into()),
        }
    }
}

/// Reads bits per second that are not 0.
fn start_bitrate(text: &str) -> Result<u64, String> {
    let wrong = || "write a bitrate like 500k or 2M (bits per second), at least 10k".to_owned();
    setting::bitrate(text).ok().filter(|bits| *bits > 0).ok_or_else(wrong)
}

/// The limits of the frames kept since a keyframe, at up to 60 frames per second.
fn cache(seconds: u32, mebibytes: u32) -> CacheLimits {
    if seconds == 0 {
        return CacheLimits::NONE;
    }
    CacheLimits {
        octets: (mebibytes as usize).saturating_mul(1 << 20),
        frames: seconds.saturating_mul(60),
        age: Duration::from_secs(seconds.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_carries_nothing_is_no_start() {
        assert_eq!(start_bitrate("500k"), Ok(500_000));
        for wrong in ["0", "2500", "fast"] {
            assert!(start_bitrate(wrong).unwrap_err().contains("at least 10k"), "{wrong}");
        }
    }

    #[test]
    fn zero_seconds_keep_no_frames() {
        assert_eq!(cache(0, 16), CacheLimits::NONE);
        assert_eq!(cache(20, 16), CacheLimits::default());
    }
}
