//! Joins the admin surface to reception: what is posted comes in where all mail does.

use std::pin::Pin;

use crate::admin::Submit;
use crate::message::{NotPosted, Post, Receipt};
use crate::reception::Entrance;

/// Takes what comes by HTTP.
pub(super) struct ByHttp(pub(super) Entrance);

impl Submit for ByHttp {
    fn submit(
        &self,
        post: Post,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, NotPosted>> + Send + '_>> {
        Box::pin(self.0.take(post))
    }
}
