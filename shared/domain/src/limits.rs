//! Every bound of the pipeline, in one place, units last. Each is a default that protects us; what a
//! project may change lives in [`crate::config`].

/// Largest request body as it arrives, bytes.
pub const REQUEST_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Largest request body after decompression, bytes; checked while decompressing.
pub const REQUEST_DECODED_BYTES_MAX: usize = 50 * 1024 * 1024;
/// Largest single event item, bytes.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Most items in one envelope.
pub const ENVELOPE_ITEMS_MAX: usize = 1_000;
/// Days for which a sealed batch may have been on its way: as long as event ids are remembered.
pub const BATCH_AGE_DAYS_MAX: i64 = EVENT_ID_DAYS;
/// Hours that a sealed batch may come from the future: clocks of devices are set wrong by zones and dates.
pub const BATCH_AHEAD_HOURS_MAX: i64 = 24;
/// Generations of a project's key that open batches at once.
pub const BATCH_KEYS_MAX: u32 = 4;
/// Most lines of a sealed batch; our reporter sends up to 100.
pub const BATCH_LINES_MAX: usize = 1_000;
/// Longest text kept in one field of an event, characters; longer is cut with a mark.
pub const TEXT_CHARS_MAX: usize = 10_000;
/// Most frames kept of one stack trace.
pub const FRAMES_MAX: usize = 250;
/// Most exceptions kept of one chain.
pub const EXCEPTIONS_MAX: usize = 20;
/// Most breadcrumbs kept of one event.
pub const BREADCRUMBS_MAX: usize = 100;
/// Most local variables kept of one frame.
pub const FRAME_VARS_MAX: usize = 50;
/// Events up to this many bytes ride in their queue message, larger ones in a stored batch.
pub const INLINE_EVENTS_BYTES_MAX: usize = 128 * 1024;
/// Days for which an event id is remembered, so that it counts once.
pub const EVENT_ID_DAYS: i64 = 30;
/// Days for which what was reported is kept after it was last written; longer than [`EVENT_ID_DAYS`].
pub const REPORT_DAYS: i64 = 90;
/// Where the content of what was reported lies: keys of blobs begin with it.
pub const REPORTS_FOLDER: &str = "events";
// An id counts once for as long as its event is there, and a batch may be on its way until a day after it is refused as old.
const _: () = assert!(REPORT_DAYS > EVENT_ID_DAYS + 1);
/// Users remembered exactly per issue before the count says "or more".
pub const ISSUE_USERS_MAX: usize = 1_000;
/// Releases and platforms remembered per issue.
pub const ISSUE_FACETS_MAX: usize = 100;
/// Most records one commit may write. The smallest bound of our homes is a DynamoDB transaction of 100 items, which
/// also holds the commit's counters and its messages.
pub const COMMIT_WRITES_MAX: usize = 90;
/// Most records one page of a list returns.
pub const PAGE_RECORDS_MAX: usize = 500;
/// Most fields of one counter that one commit may add to. The smallest bound of our homes is the 4 KB of an expression of DynamoDB.
pub const COUNTER_FIELDS_MAX: usize = 56;
/// Deliveries of one message before it is parked.
pub const DELIVERIES_MAX: u32 = 8;
/// Most fixes in one bundle: each is three writes of one commit at most (the fix, its issue and an alert).
pub const BUNDLE_FIXES_MAX: usize = 25;
/// Largest report of a runner on one job, bytes as JSON. A function takes requests up to 6 MB.
pub const REPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Seconds for which a cache may keep a channel document or a timestamp.
pub const CHANNEL_CACHE_SECONDS_MAX: u32 = 30;
/// Published releases that a channel document lists, the newest.
pub const CHANNEL_RELEASES_MAX: usize = 20;
/// Most published versions of a channel that a project may support: a delta is made from each, for the package and for each platform.
pub const SUPPORTED_VERSIONS_MAX: usize = CHANNEL_RELEASES_MAX;
/// Largest package, bytes (unpacked archive).
pub const PACKAGE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Largest metadata file a client reads, bytes.
pub const METADATA_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Times a commit is decided again after a conflict before the message goes back to its queue.
pub const CONFLICT_RETRIES_MAX: u32 = 8;
/// Longest reason that a person may give for an order, characters.
pub const REASON_CHARS_MAX: usize = 2_000;
/// Longest release notes that a person may order a release with, characters.
pub const NOTES_CHARS_MAX: usize = 20_000;
/// Most reporting keys of one project.
pub const PROJECT_KEYS_MAX: usize = 20;
/// Most actions of one project that wait for a second person at once.
pub const REQUESTS_OPEN_MAX: usize = 100;
/// Most requests whose time is over that one commit notes.
pub const REQUESTS_EXPIRED_MAX: usize = 20;
/// Largest document of another service, bytes: a set of keys has a few thousand.
pub const WEB_DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Largest item of an envelope of a kind that has no bound of its own, bytes.
pub const ITEM_BYTES_MAX: usize = 1024 * 1024;
/// Largest attachment, bytes.
pub const ATTACHMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most entries taken of one container of logs.
pub const LOG_ENTRIES_MAX: usize = 1_000;
/// Most aggregates taken of one report of sessions.
pub const SESSION_AGGREGATES_MAX: usize = 100;
/// Most metrics taken of one body of them.
pub const METRICS_MAX: usize = 500;
/// Most values taken of one metric.
pub const METRIC_VALUES_MAX: usize = 1_000;
/// Most series of one project; whatever else is measured is gathered under one name.
pub const SERIES_MAX: i64 = 5_000;
