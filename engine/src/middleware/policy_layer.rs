//! The tower half of a middleware that is a policy and nothing else: its layer, its service, and
//! how they come together. What the middleware does is the service's `answer`.

use std::convert::Infallible;

use tower_service::Service;

use crate::reply::Reply;
use crate::response::Response;

/// What stands below a layer of the chain and answers an `R`.
pub trait Inner<R>: Service<R, Response = Response, Error = Infallible, Future = Reply> {}

impl<R, S> Inner<R> for S where
    S: Service<R, Response = Response, Error = Infallible, Future = Reply>
{
}

/// Declares the layer and the service of a policy. The module gives the service
/// `fn answer(&mut self, request) -> Reply`, for `S: Inner<_>` of the same request; there `self.inner`
/// is what stands below, and `self.policy` the policy.
macro_rules! policy_layer {
    (
        $(#[$of_layer:meta])* $layer:ident;
        $(#[$of_service:meta])* $service:ident($policy:ty) for $request:ty
    ) => {
        $(#[$of_layer])*
        pub struct $layer {
            policy: ::std::sync::Arc<$policy>,
        }

        impl $layer {
            /// A layer under `policy`.
            pub fn new(policy: ::std::sync::Arc<$policy>) -> Self {
                Self { policy }
            }
        }

        $(#[$of_service])*
        pub struct $service<S> {
            inner: S,
            policy: ::std::sync::Arc<$policy>,
        }

        impl<S> ::tower_layer::Layer<S> for $layer {
            type Service = $service<S>;

            fn layer(&self, inner: S) -> $service<S> {
                $service { inner, policy: ::std::sync::Arc::clone(&self.policy) }
            }
        }

        impl<S: $crate::middleware::policy_layer::Inner<$request>> ::tower_service::Service<$request>
            for $service<S>
        {
            type Response = $crate::response::Response;
            type Error = ::std::convert::Infallible;
            type Future = $crate::reply::Reply;

            fn poll_ready(
                &mut self,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<Result<(), ::std::convert::Infallible>> {
                self.inner.poll_ready(cx)
            }

            fn call(&mut self, request: $request) -> $crate::reply::Reply {
                self.answer(request)
            }
        }
    };
}

pub(crate) use policy_layer;
