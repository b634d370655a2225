//! Function calls: which of Oracle's functions, on which types.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    ListAggOnOverflow, OrderByExpr, WindowType,
};

use super::clause::direction;
use super::expr::{Sql, literal, sort_key, sortable, sql};
use super::query::{Scope, Translator};
use super::types::Ty;
use crate::backend::OraError;
use crate::error::{known, not_simulated, ora};

type Result<T> = std::result::Result<T, OraError>;

/// Functions that Oracle has and that are not simulated.
const KNOWN: [&str; 40] = [
    "DUMP",
    "STDDEV",
    "VARIANCE",
    "MEDIAN",
    "MONTHS_BETWEEN",
    "LAST_DAY",
    "NEXT_DAY",
    "NEW_TIME",
    "SYS_CONNECT_BY_PATH",
    "REGEXP_INSTR",
    "TO_DSINTERVAL",
    "TO_YMINTERVAL",
    "NUMTOYMINTERVAL",
    "FROM_TZ",
    "TO_TIMESTAMP_TZ",
    "SYS_EXTRACT_UTC",
    "ORA_HASH",
    "STANDARD_HASH",
    "SYS_GUID",
    "VSIZE",
    "CONVERT",
    "UNISTR",
    "COMPOSE",
    "DECOMPOSE",
    "SOUNDEX",
    "XMLAGG",
    "XMLELEMENT",
    "JSON_VALUE",
    "JSON_QUERY",
    "NTILE",
    "CUME_DIST",
    "PERCENT_RANK",
    "RATIO_TO_REPORT",
    "WM_CONCAT",
    "COLLECT",
    "GROUPING",
    "LNNVL",
    "NANVL",
    "LOG",
    "REMAINDER",
];

/// A call's plain arguments.
pub(super) fn arguments(function: &Function) -> Vec<&Expr> {
    match &function.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .filter_map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
            })
            .collect(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => Vec::new(),
    }
}

impl Translator<'_> {
    pub(super) fn call(&mut self, function: &Function, scope: &Scope<'_>) -> Result<Sql> {
        let name = function.name.to_string().replace('"', "").to_uppercase();
        let name = name
            .strip_prefix("SYS.")
            .or_else(|| name.strip_prefix("STANDARD."))
            .unwrap_or(&name)
            .to_owned();
        if let Some(aggregate) = self.aggregate(&name, function, scope)? {
            return Ok(aggregate);
        }
        if name == "SYS_CONTEXT" || name == "USERENV" {
            return self.sys_context(&name, function, scope);
        }
        let mut args = Vec::new();
        for argument in arguments(function) {
            args.push(self.value(argument, scope)?);
        }
        let wrong = |least: usize| {
            if args.len() < least {
                Err(ora(938, "not enough arguments for function"))
            } else {
                Ok(())
            }
        };
        wrong(match name.as_str() {
            "NVL" | "NULLIF" | "SUBSTR" | "SUBSTRB" | "INSTR" | "MOD" | "BITAND" | "ADD_MONTHS" | "REGEXP_LIKE"
            | "LPAD" | "RPAD" | "POWER" => 2,
            "NVL2" | "DECODE" | "TRANSLATE" => 3,
            "SYS_GUID" | "DBMS_RANDOM.VALUE" => 0,
            // A function of a package that is not there, or not for this account.
            name if name.contains('.') && name != "UTL_RAW.CAST_TO_RAW" => 0,
            _ => 1,
        })?;
        if let Some(of_text) = self.text_function(&name, &args) {
            return Ok(of_text);
        }
        if let Some(conversion) = self.conversion(&name, &args)? {
            return Ok(conversion);
        }
        if let Some(choice) = self.choice(&name, &args) {
            return Ok(choice);
        }
        if KNOWN.contains(&name.as_str()) {
            return Err(not_simulated(&name));
        }
        Err(self.at(904, &format!("\"{name}\": invalid identifier"), function))
    }

    fn sys_context(&mut self, name: &str, function: &Function, scope: &Scope<'_>) -> Result<Sql> {
        let mut texts = Vec::new();
        for argument in arguments(function) {
            let it = self.value(argument, scope)?.text;
            texts.push(it.trim_matches('\'').to_uppercase());
        }
        let attribute = match (name, texts.as_slice()) {
            ("USERENV", [attribute]) => attribute,
            (_, [space, attribute] | [space, attribute, _]) if space == "USERENV" => attribute,
            (_, [_, _] | [_, _, _]) => return Ok(sql("NULL", Ty::Text(256))),
            _ => return Err(ora(938, "not enough arguments for function")),
        };
        let value = self.catalog.userenv(attribute)?;
        Ok(sql(
            value.map_or_else(|| "NULL".into(), |value| literal(&value)),
            Ty::Text(256),
        ))
    }

    fn aggregate(&mut self, name: &str, function: &Function, scope: &Scope<'_>) -> Result<Option<Sql>> {
        let ranking = matches!(
            name,
            "ROW_NUMBER" | "RANK" | "DENSE_RANK" | "LAG" | "LEAD" | "FIRST_VALUE" | "LAST_VALUE"
        );
        let known_one = matches!(name, "COUNT" | "SUM" | "AVG" | "MIN" | "MAX" | "LISTAGG") || ranking;
        if !known_one {
            return Ok(None);
        }
        let FunctionArguments::List(list) = &function.args else {
            return Ok(None);
        };
        let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
        let distinct = if distinct { "DISTINCT " } else { "" };
        let star = list
            .args
            .iter()
            .any(|argument| matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard)));
        let mut args = Vec::new();
        for argument in arguments(function) {
            args.push(self.value(argument, scope)?);
        }
        let ty = args.first().map_or(Ty::Number, |it| it.ty);
        let first = args.first().cloned().unwrap_or_else(|| sql("*", Ty::Number));
        let mut it = match name {
            "COUNT" if star => sql("count(*)", Ty::Number),
            "COUNT" => sql(format!("count({distinct}{})", first.text), Ty::Number),
            "SUM" | "AVG" | "MIN" | "MAX" => self.total(name, distinct, first, function.over.is_some()),
            "LISTAGG" => {
                let separator = args
                    .get(1)
                    .map_or_else(|| "''".to_owned(), |it| it.text.replace("NULL", "''"));
                if !distinct.is_empty() {
                    return Err(not_simulated("LISTAGG of DISTINCT values"));
                }
                let truncates = |clause: &FunctionArgumentClause| {
                    matches!(
                        clause,
                        FunctionArgumentClause::OnOverflow(ListAggOnOverflow::Truncate { .. })
                    )
                };
                if list.clauses.iter().any(truncates) {
                    return Err(not_simulated("LISTAGG with ON OVERFLOW TRUNCATE"));
                }
                let order = self.order(function.within_group.as_slice(), scope)?;
                let text = self.as_text(first);
                return self.listagg((&text, &separator, &order), function, scope).map(Some);
            }
            _ => {
                let list: Vec<_> = args.iter().map(|it| it.text.clone()).collect();
                let ty = if matches!(name, "ROW_NUMBER" | "RANK" | "DENSE_RANK") {
                    Ty::Number
                } else {
                    ty
                };
                sql(format!("{}({})", name.to_lowercase(), list.join(", ")), ty)
            }
        };
        self.windowed(&mut it, function, ranking, scope)?;
        Ok(Some(it))
    }

    /// SUM, AVG, MIN and MAX: with all digits, but over a window SQLite's own have to do.
    fn total(&self, name: &str, distinct: &str, of: Sql, windowed: bool) -> Sql {
        let (ty, function) = (of.ty, name.to_lowercase());
        match name {
            "SUM" | "AVG" if ty == Ty::Interval || ty == Ty::Double || windowed => {
                let ty = if ty.is_number() || ty == Ty::Interval {
                    ty
                } else {
                    Ty::Number
                };
                sql(format!("{function}({distinct}{})", self.as_number(of)), ty)
            }
            "SUM" | "AVG" => sql(format!("ora_{function}({distinct}{})", of.text), Ty::Long),
            _ if ty == Ty::Long && !windowed => sql(format!("ora_{function}({})", of.text), ty),
            _ => sql(format!("{function}({})", of.text), ty),
        }
    }

    /// LISTAGG, in a group or over its partition; more than 4000 bytes are an error.
    fn listagg(
        &mut self,
        (text, separator, order): (&str, &str, &str),
        function: &Function,
        scope: &Scope<'_>,
    ) -> Result<Sql> {
        let list = match &function.over {
            None => format!("group_concat({text}, {separator}{order})"),
            Some(WindowType::WindowSpec(window)) => {
                let mut by = Vec::new();
                for part in &window.partition_by {
                    by.push(self.value(part, scope)?.text);
                }
                let partition = if by.is_empty() {
                    String::new()
                } else {
                    format!("PARTITION BY {}", by.join(", "))
                };
                let whole = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING";
                format!("group_concat({text}, {separator}) OVER ({partition}{order} {whole})")
            }
            Some(WindowType::NamedWindow(_)) => return Err(known(936)),
        };
        Ok(sql(format!("ora_fitting({list})"), Ty::Text(4000)))
    }

    /// OVER (...), which some functions need and others may have.
    fn windowed(&mut self, it: &mut Sql, function: &Function, needed: bool, scope: &Scope<'_>) -> Result<()> {
        match &function.over {
            None if needed => Err(self.at(30_484, "missing window specification for this function", function)),
            None => Ok(()),
            Some(WindowType::WindowSpec(window)) => {
                let mut by = Vec::new();
                for part in &window.partition_by {
                    by.push(self.value(part, scope)?.text);
                }
                let partition = if by.is_empty() {
                    String::new()
                } else {
                    format!("PARTITION BY {}", by.join(", "))
                };
                let order = self.order(&window.order_by, scope)?;
                it.text += &format!(" OVER ({partition}{order})");
                Ok(())
            }
            Some(WindowType::NamedWindow(_)) => Err(known(936)),
        }
    }

    fn order(&mut self, order: &[OrderByExpr], scope: &Scope<'_>) -> Result<String> {
        let mut terms = Vec::new();
        for by in order {
            terms.push(sort_key(self.value(&by.expr, scope)?) + direction(by));
        }
        Ok(if terms.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", terms.join(", "))
        })
    }

    fn text_function(&self, name: &str, args: &[Sql]) -> Option<Sql> {
        let texts: Vec<String> = args.iter().map(|it| self.as_text(it.clone())).collect();
        let all = texts.join(", ");
        let first = args.first().map_or(Ty::Unknown, |it| it.ty);
        let width = Ty::Text(first.width().max(1));
        Some(match name {
            "UPPER" | "LOWER" | "INITCAP" => sql(format!("ora_case('{}', {all})", &name[..1]), width),
            "SUBSTR" => sql(format!("ora_substr({all})"), width),
            "SUBSTRB" => sql(format!("ora_substrb({all})"), width),
            "INSTR" => sql(format!("ora_instr({all})"), Ty::Number),
            "LENGTH" => sql(format!("ora_length({all})"), Ty::Number),
            "LENGTHB" => sql(format!("length(ora_bytes({all}))"), Ty::Number),
            "LPAD" | "RPAD" => sql(format!("ora_pad('{}', {all})", &name[..1]), Ty::Text(4000)),
            "LTRIM" | "RTRIM" => sql(format!("ora_trim('{}', {all})", &name[..1]), width),
            "TRIM" => sql(format!("ora_trim('B', {all})"), width),
            "REPLACE" => sql(format!("ora_replace({all})"), Ty::Text(4000)),
            "TRANSLATE" => sql(format!("ora_translate({all})"), width),
            "CONCAT" => sql(format!("ora_cat({all})"), Ty::Text(4000)),
            "CHR" => sql(format!("ora_chr({all})"), Ty::Text(4)),
            "ASCII" => sql(format!("ora_ascii({all})"), Ty::Number),
            "RAWTOHEX" => sql(
                format!("ora_text(ora_bytes({}))", args[0].text),
                Ty::Text(first.width() * 2),
            ),
            "UTL_RAW.CAST_TO_RAW" => sql(format!("ora_bytes({all})"), Ty::Raw(first.width())),
            "ASCIISTR" => sql(format!("ora_asciistr({all})"), Ty::Text(4000)),
            "HEXTORAW" => sql(format!("ora_raw({all})"), Ty::Raw(first.width() / 2)),
            "REGEXP_LIKE" => sql(format!("ora_regexp('LIKE', {all})"), Ty::Condition),
            "REGEXP_SUBSTR" => sql(format!("ora_regexp('SUBSTR', {}, {})", texts[0], texts.get(1)?), width),
            "REGEXP_COUNT" => sql(
                format!("ora_regexp('COUNT', {}, {})", texts[0], texts.get(1)?),
                Ty::Number,
            ),
            "REGEXP_REPLACE" => {
                let into = texts.get(2).map_or("NULL", String::as_str);
                sql(
                    format!("ora_regexp('REPLACE', {}, {}, NULL, {into})", texts[0], texts.get(1)?),
                    Ty::Text(4000),
                )
            }
            _ => return None,
        })
    }

    fn conversion(&self, name: &str, args: &[Sql]) -> Result<Option<Sql>> {
        let numbers: Vec<String> = args.iter().map(|it| self.as_number(it.clone())).collect();
        let Some(first) = args.first() else { return Ok(None) };
        let second = args.get(1).map(|it| it.text.clone());
        let unit = second.clone().unwrap_or_else(|| "'DD'".into());
        let (date_model, time_model) = self.catalog.date_models();
        Ok(Some(match name {
            "TO_CHAR" | "TO_NCHAR" | "TO_CLOB" => match (first.ty, second) {
                (ty, Some(model)) if ty.is_time() => {
                    sql(format!("ora_date_text({}, {model})", first.text), Ty::Text(75))
                }
                (ty, Some(model)) if ty.is_number() || ty == Ty::Unknown => {
                    sql(format!("ora_number_text({}, {model})", first.text), Ty::Text(40))
                }
                (ty, _) => sql(self.as_text(first.clone()), Ty::Text(ty.width())),
            },
            "TO_DATE" | "TO_TIMESTAMP" if first.ty.is_time() => first.clone(),
            "TO_DATE" => {
                let model = second.unwrap_or_else(|| literal(&date_model));
                sql(format!("ora_date({}, {model})", self.as_text(first.clone())), Ty::Date)
            }
            "TO_TIMESTAMP" => {
                let model = second.unwrap_or_else(|| literal(&time_model));
                sql(
                    format!("ora_date({}, {model})", self.as_text(first.clone())),
                    Ty::Timestamp(6),
                )
            }
            "TO_NUMBER" => sql(format!("ora_num({})", first.text), Ty::Long),
            "TO_BINARY_DOUBLE" => sql(format!("CAST(ora_num({}) AS REAL)", first.text), Ty::Double),
            "TRUNC" if first.ty.is_time() => sql(format!("ora_date_trunc({}, {unit})", first.text), Ty::Date),
            "ROUND" if first.ty.is_time() => sql(format!("ora_date_round({}, {unit})", first.text), Ty::Date),
            "TRUNC" | "ROUND" | "CEIL" | "FLOOR" | "ABS" | "SIGN" | "SQRT" | "EXP" | "LN" | "POWER" => {
                sql(format!("ora_math('{name}', {})", numbers.join(", ")), Ty::Long)
            }
            "MOD" => sql(format!("ora_mod({})", numbers.join(", ")), Ty::Long),
            "BITAND" => sql(format!("ora_bitand({})", numbers.join(", ")), Ty::Number),
            "ADD_MONTHS" => sql(format!("ora_add_months({}, {})", first.text, numbers[1]), Ty::Date),
            "NUMTODSINTERVAL" => {
                let factor = match second
                    .as_deref()
                    .map(|unit| unit.trim_matches('\'').to_uppercase())
                    .as_deref()
                {
                    Some("DAY") => "86400.0",
                    Some("HOUR") => "3600.0",
                    Some("MINUTE") => "60.0",
                    Some("SECOND") => "1.0",
                    Some(_) | None => return Err(ora(1760, "illegal argument for function")),
                };
                sql(format!("({} * {factor})", numbers[0]), Ty::Interval)
            }
            _ => return Ok(None),
        }))
    }

    fn choice(&self, name: &str, args: &[Sql]) -> Option<Sql> {
        let of = |parts: &[Sql]| parts.iter().fold(Ty::Unknown, |ty, it| ty.with(it.ty));
        let unified =
            |parts: &[Sql], ty: Ty| -> Vec<String> { parts.iter().map(|it| self.unified(it.clone(), ty)).collect() };
        Some(match name {
            "NVL" | "COALESCE" => {
                let ty = of(args);
                match args {
                    [only] => only.clone(),
                    _ => sql(format!("coalesce({})", unified(args, ty).join(", ")), ty),
                }
            }
            "NVL2" => {
                let ty = of(&args[1..]);
                let parts = unified(&args[1..], ty);
                sql(
                    format!(
                        "CASE WHEN {} IS NOT NULL THEN {} ELSE {} END",
                        args[0].text, parts[0], parts[1]
                    ),
                    ty,
                )
            }
            "NULLIF" => {
                let (a, b) = self.alike(args[0].clone(), args[1].clone());
                sql(
                    format!("CASE WHEN {a} = {b} THEN NULL ELSE {} END", args[0].text),
                    args[0].ty,
                )
            }
            "GREATEST" | "LEAST" if args.len() == 1 => args[0].clone(),
            "GREATEST" | "LEAST" => {
                let ty = of(args);
                let (function, word) = if name == "GREATEST" {
                    ("max", ">=")
                } else {
                    ("min", "<=")
                };
                let (first, rest) = args.split_first()?;
                match ty {
                    Ty::Long => rest.iter().fold(first.clone(), |a, b| {
                        let (x, y) = (sortable(a.clone()), sortable(b.clone()));
                        let chosen = format!(
                            "WHEN {x} {word} {y} THEN {} WHEN {x} < {y} OR {x} > {y} THEN {}",
                            a.text, b.text
                        );
                        sql(format!("CASE {chosen} END"), ty)
                    }),
                    _ => sql(format!("{function}({})", unified(args, ty).join(", ")), ty),
                }
            }
            "DECODE" => {
                let (tested, rest) = args.split_first()?;
                let pairs = rest.chunks_exact(2);
                let otherwise = pairs.remainder().first();
                let results = pairs.clone().map(|pair| pair[1].ty).chain(otherwise.map(|it| it.ty));
                let ty = results.fold(Ty::Unknown, Ty::with);
                let arms: Vec<_> = pairs
                    .map(|pair| {
                        let (a, b) = self.alike(tested.clone(), pair[0].clone());
                        format!("WHEN {a} IS {b} THEN {}", self.unified(pair[1].clone(), ty))
                    })
                    .collect();
                let otherwise = otherwise.map_or_else(|| "NULL".into(), |it| self.unified(it.clone(), ty));
                sql(format!("CASE {} ELSE {otherwise} END", arms.join(" ")), ty)
            }
            _ => return None,
        })
    }
}
