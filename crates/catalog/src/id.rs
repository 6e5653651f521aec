//! Ids that sort by the time they were made.

/// A new id: a UUID of version 7 as 32 lowercase hexadecimal digits. Ids made one after the other by one process are in order, those
/// of several processes as far as their clocks agree.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
