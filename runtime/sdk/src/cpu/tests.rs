use std::collections::BTreeMap;

use super::*;

#[track_caller]
fn check(settings: &[(&str, &str)], quota: Option<f64>, expected: (f64, LimitSource)) {
    let source: BTreeMap<String, String> = settings.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let found = CpuLimit::decide(&source, quota, 8.0);
    assert_eq!((found.cores, found.from), expected, "{settings:?} {quota:?}");
}

#[test]
fn the_first_who_says_something_is_believed() {
    use LimitSource::*;
    let cores = ("NOMAD_CPU_CORES", "0-1,3");
    let mhz = [("NOMAD_CPU_LIMIT", "500"), ("DROVER_CORE_MHZ", "2000")];
    check(&[], None, (8.0, Machine));
    check(&[], Some(1.5), (1.5, Cgroup));
    check(&mhz, Some(1.5), (0.25, NomadMhz));
    check(&[cores, mhz[0], mhz[1]], Some(1.5), (3.0, NomadCores));
    check(&[("DROVER_CPU", "0.5"), cores, mhz[0], mhz[1]], Some(1.5), (0.5, Setting));
}

#[test]
fn what_cannot_be_read_is_passed_over() {
    use LimitSource::*;
    check(&[("NOMAD_CPU_LIMIT", "500")], None, (8.0, Machine));
    check(&[("NOMAD_CPU_LIMIT", "500"), ("DROVER_CORE_MHZ", "0")], Some(2.0), (2.0, Cgroup));
    check(&[("NOMAD_CPU_CORES", "")], None, (8.0, Machine));
    for cpu in ["0", "-1", "inf", "NaN", "two", ""] {
        check(&[("DROVER_CPU", cpu)], None, (8.0, Machine));
        assert!(parse_cores(cpu).is_err());
    }
}

#[test]
fn no_more_is_promised_than_there_is() {
    check(&[("DROVER_CPU", "64")], None, (8.0, LimitSource::Setting));
    check(&[], Some(64.0), (8.0, LimitSource::Cgroup));
}

#[test]
fn threads_are_whole() {
    let threads = |cores| CpuLimit { cores, from: LimitSource::Setting }.threads();
    assert_eq!([0.1, 1.0, 1.01, 2.5].map(threads), [1, 1, 2, 3]);
}

#[test]
fn lists_of_cores_are_counted() {
    for (list, cores) in
        [("0", Some(1.0)), ("0-3", Some(4.0)), ("0-1,3", Some(3.0)), ("", None), ("3-1", None), ("a", None)]
    {
        assert_eq!(count_cores(list), cores, "{list}");
    }
}

#[test]
fn this_process_has_a_limit() {
    let limit = CpuLimit::read(&BTreeMap::new());
    assert!(limit.cores > 0.0 && limit.cores <= allowed_cores(), "{limit:?}");
}
