//! Memory that a crowd of connections had, given back to the system.
//!
//! The allocator gives pages back while more of their kind are asked for; after a crowd has gone
//! none may be for hours. So whenever half of many connections have gone it is told to, which takes
//! it about a millisecond for some thousands.

use std::time::Duration;

use pybolt_engine::server::Drain;

/// So often is looked whether a crowd has gone.
const EVERY: Duration = Duration::from_secs(1);

/// Fewer connections are no crowd.
const MANY: usize = 256;

/// Gives back what the I/O thread, which this runs on, has free whenever half of a crowd has gone.
pub async fn give_back(drain: Drain) {
    let mut most = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let open = drain.connections();
        most = drain.take_most().max(most);
        if most >= MANY && open <= most / 2 {
            // SAFETY: any thread may call it at any time; no block that is in use is touched.
            unsafe { libmimalloc_sys::mi_collect(true) };
            most = open;
        }
    }
}
