//! Running containers of Kubernetes.

use std::{ffi::OsString, io};

use crate::{
    defaults::sealed::Sealed,
    driver::{
        AgentCommand,
        program::{drive_by_program, pair, program_methods},
        setup::{Setup, setup_methods},
    },
    quiet::Quiet,
};

/// Runs the agent in a running container of a pod, by the user's own `kubectl exec`.
///
/// ```
/// use chopsticks_driver::Kubectl;
///
/// let web = Kubectl::new("web-0").namespace("shop").container("app");
/// // The first pod of a deployment, in another cluster.
/// let other = Kubectl::new("deploy/api").context("staging").python("auto").name("api");
/// # let _ = (web, other);
/// ```
#[derive(Clone, Debug)]
pub struct Kubectl {
    setup: Setup,
    pod: String,
    namespace: Option<String>,
    container: Option<String>,
    context: Option<String>,
    kubeconfig: Option<String>,
    args: Quiet<Vec<OsString>>,
    program: OsString,
}

impl Kubectl {
    /// Creates a driver for a pod, or for the first pod of `TYPE/NAME`, such as `deploy/api`. This
    /// is also the tunnel's name.
    pub fn new(pod: impl Into<String>) -> Self {
        let pod = pod.into();
        Self {
            setup: Setup::new(&pod),
            pod,
            namespace: None,
            container: None,
            context: None,
            kubeconfig: None,
            args: Quiet::default(),
            program: "kubectl".into(),
        }
    }

    setup_methods!();
    program_methods!("kubectl exec");

    /// Sets the namespace of the pod. Default: that of the context.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets the container of the pod. Default: the one that the pod names as its default, or its
    /// first.
    #[must_use]
    pub fn container(mut self, container: impl Into<String>) -> Self {
        self.container = Some(container.into());
        self
    }

    /// Sets the context of the configuration, which names a cluster and a user. Default: the current
    /// one.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Sets the configuration file. Default: those of `KUBECONFIG`, or `~/.kube/config`.
    #[must_use]
    pub fn kubeconfig(mut self, file: impl Into<String>) -> Self {
        self.kubeconfig = Some(file.into());
        self
    }

    fn arguments(&self, agent: &AgentCommand) -> io::Result<Vec<OsString>> {
        let mut arguments: Vec<OsString> = vec!["exec".into(), "--stdin".into()];
        arguments.extend(pair("--kubeconfig", self.kubeconfig.as_ref()));
        arguments.extend(pair("--context", self.context.as_ref()));
        arguments.extend(pair("--namespace", self.namespace.as_ref()));
        arguments.extend(pair("--container", self.container.as_ref()));
        arguments.extend(self.args.iter().cloned());
        arguments.extend([self.pod.clone().into(), "--".into()]);
        arguments.extend(agent.argv(&agent.python::<Self>(self.setup.interpreter.as_ref())));
        Ok(arguments)
    }
}

drive_by_program!(Kubectl);

impl Sealed for Kubectl {
    const KIND: &str = "kubectl";
    // Images have it in different folders.
    const PRESET: &str = "python3";
}
