//! The simulated database as a program: serves a scenario to real clients, or answers one statement.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use orasim::backend::{ConnectTo, Database};
use orasim::local::{Local, shown};
use orasim::scenario::Behaviour;
use orasim::{Scenario, ScenarioError, Server, World};

/// A simulated Oracle database that real clients log in to.
#[derive(Parser)]
#[command(name = "orasim", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a scenario until interrupted.
    Serve {
        /// A ready-made scenario, or a file.
        #[arg(long, default_value = "quiet")]
        scenario: String,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:1521")]
        listen: SocketAddr,
        /// Simulated seconds a real second.
        #[arg(long)]
        speed: Option<f64>,
        /// Another seed for what is drawn.
        #[arg(long)]
        seed: Option<u64>,
        /// A file whose key `behaviour` says how the database differs from what is documented.
        #[arg(long)]
        behaviour: Option<PathBuf>,
    },
    /// List the ready-made scenarios.
    Scenarios,
    /// Run one statement against a scenario as it begins, and print its rows.
    Sql {
        /// A ready-made scenario, or a file.
        #[arg(long, default_value = "quiet")]
        scenario: String,
        /// Who asks.
        #[arg(long, default_value = "REAPER")]
        user: String,
        /// The statement.
        statement: String,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("orasim: {message}");
            ExitCode::from(2)
        }
    }
}

fn scenario(name: &str) -> Result<Scenario, ScenarioError> {
    if Scenario::builtin_names().any(|known| known == name) {
        Scenario::builtin(name)
    } else if name.contains(['/', '.']) {
        Scenario::load(Path::new(name))
    } else {
        Err(ScenarioError::Unknown(name.to_owned()))
    }
}

fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve {
            scenario: name,
            listen,
            speed,
            seed,
            behaviour,
        } => {
            let mut scenario = scenario(&name).map_err(|error| error.to_string())?;
            scenario.speed = speed.unwrap_or(scenario.speed);
            scenario.seed = seed.unwrap_or(scenario.seed);
            if let Some(file) = behaviour {
                scenario.behaviour = Behaviour::load(&file).map_err(|error| error.to_string())?;
            }
            serve(scenario, listen)
        }
        Command::Scenarios => {
            for name in Scenario::builtin_names() {
                let scenario = Scenario::builtin(name).map_err(|error| error.to_string())?;
                println!("{name:10} {}", scenario.description);
            }
            Ok(())
        }
        Command::Sql {
            scenario: name,
            user,
            statement,
        } => {
            let world = World::new(scenario(&name).map_err(|error| error.to_string())?);
            let mut client = Local::connect(&world, &user, &ConnectTo::default()).map_err(|error| error.message)?;
            print_answer(&client.run(&statement).map_err(|error| error.message)?);
            Ok(())
        }
    }
}

fn serve(scenario: Scenario, listen: SocketAddr) -> Result<(), String> {
    let world = World::new(scenario);
    let database: Arc<dyn Database> = Arc::clone(&world) as Arc<dyn Database>;
    let server = Server::start(database, listen).map_err(|error| format!("listen on {listen}: {error}"))?;
    let scenario = world.scenario();
    println!(
        "{} {}: {} sessions",
        scenario.database.name,
        scenario.release,
        world.sessions().len()
    );
    println!("listening on {}", server.addr());
    let services = scenario.services.iter().map(|service| service.name.as_str());
    let own = scenario.database.name.to_lowercase();
    for service in std::iter::once(own.as_str()).chain(services) {
        println!("  connect string: //{}/{service}", server.addr());
    }
    for (user, account) in &scenario.accounts {
        if let Some(password) = &account.password {
            println!("  account: {user}/{password}");
        }
    }
    loop {
        std::thread::park();
    }
}

fn print_answer(answer: &orasim::local::Answer) {
    if answer.columns.is_empty() {
        println!("{} rows affected", answer.affected);
        return;
    }
    let lines: Vec<Vec<String>> = answer.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let names: Vec<String> = answer.columns.iter().map(|column| column.name.clone()).collect();
    let width = |at: usize| {
        lines
            .iter()
            .chain([&names])
            .map(|line| line[at].chars().count())
            .max()
            .unwrap_or(1)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let ruler: Vec<String> = widths.iter().map(|width| "-".repeat((*width).max(1))).collect();
    for line in [&names, &ruler].into_iter().chain(&lines) {
        let cells: Vec<_> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        println!("{}", cells.join("  ").trim_end());
    }
}
