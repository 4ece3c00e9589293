//! What the drivers have in common that run one program with arguments.

/// The setters of a driver's fields `program` and `args`.
macro_rules! program_methods {
    ($program:literal) => {
        #[doc = concat!("Adds arguments of `", $program, "`, after those that this driver sets itself.")]
        #[must_use]
        pub fn args(mut self, args: impl IntoIterator<Item = impl Into<std::ffi::OsString>>) -> Self {
            self.args.extend(args.into_iter().map(Into::into));
            self
        }

        #[doc = concat!("Sets the program to run in place of `", $program, "`. It has to accept the same arguments.")]
        #[must_use]
        pub fn program(mut self, program: impl Into<std::ffi::OsString>) -> Self {
            self.program = program.into();
            self
        }
    };
}
pub(crate) use program_methods;

/// Implements [`Driver`](crate::Driver) for a type with the fields `setup` and `program`, whose
/// method `arguments` returns the arguments of the program.
macro_rules! drive_by_program {
    ($type:ident $(, exclusive: $is_exclusive:expr)?) => {
        #[async_trait::async_trait]
        impl $crate::driver::Driver for $type {
            fn host(&self) -> $crate::host::HostName {
                self.setup.name.clone()
            }

            fn options(&self) -> $crate::options::AgentOptions {
                self.setup.options.clone()
            }

            $(fn is_exclusive(&self) -> bool {
                let is_exclusive: fn(&Self) -> bool = $is_exclusive;
                is_exclusive(self)
            })?

            async fn open(&self, agent: &$crate::driver::AgentCommand) -> std::io::Result<$crate::process::Link> {
                let mut command = tokio::process::Command::new(&self.program);
                command.args(self.arguments(agent)?);
                agent.spawn(command).await
            }
        }

        #[cfg(test)]
        impl $type {
            /// Returns the program and its arguments, with `PYTHON` for the agent's.
            pub(crate) fn line(&self) -> String {
                let agent = $crate::driver::AgentCommand::program(["PYTHON"]);
                let arguments = self.arguments(&agent).unwrap();
                let words = [&self.program].into_iter().chain(&arguments).map(|word| word.to_string_lossy());
                words.collect::<Vec<_>>().join(" ")
            }
        }
    };
}
pub(crate) use drive_by_program;

/// Returns `OPTION VALUE`, if there is a value.
pub(crate) fn pair(option: &str, value: Option<&String>) -> impl Iterator<Item = std::ffi::OsString> {
    value.into_iter().flat_map(move |value| [option.into(), value.into()])
}

/// Returns `OPTION=VALUE`, if there is a value.
pub(crate) fn joined(option: &str, value: Option<&String>) -> Option<std::ffi::OsString> {
    value.map(|value| format!("{option}={value}").into())
}

#[cfg(test)]
mod tests {
    use crate::{Chroot, Doas, Incus, Kubectl, Lxc, Machine, Nsenter, Nspawn, Slurm, Su};

    #[test]
    fn settings_become_arguments_in_front_of_what_is_reached() {
        let arg = ["--odd"];
        for (line, expected) in [
            (Su::new("u").line(), "su u -c exec PYTHON"),
            (
                Su::new("u").shell("/bin/sh").login().args(arg).line(),
                "su -l -s /bin/sh --odd u -c exec PYTHON",
            ),
            (Doas::new("u").args(arg).line(), "doas -n -u u --odd -- PYTHON"),
            (Chroot::new("/r").line(), "chroot -- /r PYTHON"),
            (Chroot::new("/r").user("u:g").args(arg).line(), "chroot --userspec=u:g --odd -- /r PYTHON"),
            (Nsenter::process(7).line(), "nsenter --target 7 --all -- PYTHON"),
            (
                Nsenter::process(7).namespace("net").namespace("mount").args(arg).line(),
                "nsenter --target 7 --net --mount --odd -- PYTHON",
            ),
            (Nsenter::network("blue").line(), "nsenter --net=/run/netns/blue -- PYTHON"),
            (Machine::new("m").line(), "systemd-run --quiet --pipe --wait --collect --machine=m -- PYTHON"),
            (
                Machine::new("m").user("u").args(arg).python("$x").line(),
                "systemd-run --quiet --pipe --wait --collect --machine=m --uid=u --odd -- PYTHON",
            ),
            (Nspawn::machine("i").line(), "systemd-nspawn --quiet --pipe --as-pid2 --machine=i -- PYTHON"),
            (
                Nspawn::folder("/r").ephemeral().unregistered().bind("/a:/b").user("u").args(arg).line(),
                "systemd-nspawn --quiet --pipe --as-pid2 --directory=/r --ephemeral --register=no --keep-unit \
                 --bind=/a:/b --user=u --odd -- PYTHON",
            ),
            (Lxc::new("c").line(), "lxc-attach --name=c -- PYTHON"),
            (
                Lxc::new("c").path("/p").uid(7).args(arg).line(),
                "lxc-attach --name=c --lxcpath=/p --uid=7 --odd -- PYTHON",
            ),
            (Incus::new("r:c").line(), "incus exec --force-noninteractive r:c -- PYTHON"),
            (
                Incus::lxd("c").project("p").uid(7).args(arg).line(),
                "lxc exec --force-noninteractive --project p --user 7 --odd c -- PYTHON",
            ),
            (Kubectl::new("p").line(), "kubectl exec --stdin p -- PYTHON"),
            (
                Kubectl::new("p")
                    .namespace("n")
                    .container("c")
                    .context("x")
                    .kubeconfig("/k")
                    .args(arg)
                    .line(),
                "kubectl exec --stdin --kubeconfig /k --context x --namespace n --container c --odd p -- PYTHON",
            ),
            (Slurm::new().line(), "srun --unbuffered --input=all --nodes=1 --ntasks=1 --quiet PYTHON"),
            (
                Slurm::new().partition("p").time("10").cpus(4).args(arg).line(),
                "srun --unbuffered --input=all --nodes=1 --ntasks=1 --quiet --partition=p --time=10 \
                 --cpus-per-task=4 --odd PYTHON",
            ),
        ] {
            assert_eq!(line, expected);
        }
    }
}
